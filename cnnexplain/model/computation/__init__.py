"""Compiled passes through a network: outputs, gradients, backward rules, and the targets that they are computed for."""
