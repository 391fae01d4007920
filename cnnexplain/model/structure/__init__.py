"""The structure of a model: its flat graph, its inputs, and what is known about its layers."""
