"""Copies of images that differ in a box, computed only where feature maps change."""
