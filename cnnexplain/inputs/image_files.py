"""The formats of image files that are read, and their maximum size."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""The formats, by Pillow's names."""

MAX_PIXELS = 100_000_000
"""Larger images are rejected as decompression bombs."""
