"""The studio: a local web page that shows a network at work on an image that the user draws or chooses.

Pages talk to `app` in messages (`messages`), and one thread (`worker`) computes for all of them.
"""
