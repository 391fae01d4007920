"""How a model's output gives scores, probabilities or values."""
