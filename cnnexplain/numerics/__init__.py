"""Numerical helpers for authors of analyses: baselines, interpolation, completeness, Fourier parametrization."""
