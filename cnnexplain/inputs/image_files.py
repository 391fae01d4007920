"""Which image files are read: their formats, and how large they may be."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What Pillow calls the formats."""

MAX_PIXELS = 100_000_000
"""A larger image is taken for a decompression bomb."""
