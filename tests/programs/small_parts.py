"""Runs the command line with parts of 3 images: small_parts.py ARGUMENTS..."""

import sys

from cnnexplain.cli.app import main
from cnnexplain.pipeline import parts

parts.MOST_READ, parts.PART_IMAGES = 2, 3
sys.exit(main(sys.argv[1:]))
