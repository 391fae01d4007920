"""The model as a `Classifier`: its graph, heads, objectives, gradients, receptive fields and backward rules."""
