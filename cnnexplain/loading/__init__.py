"""From a file, a name or a Keras model to a `Classifier`. Model files and sidecars are untrusted."""
