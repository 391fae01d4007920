"""From files and arrays to batches of images in a model's input range; knows a `Preprocess`, never a `Classifier`."""
