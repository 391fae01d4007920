"""Compares explanation methods by metrics."""
