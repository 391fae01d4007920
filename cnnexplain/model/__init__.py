"""What a Keras model is and what it computes: its graph, outputs, gradients, receptive fields and backward rules."""
