"""Runs the command line with a limit of 4 KiB on the size of files: limited_file_size.py ARGUMENTS..."""

import resource
import sys

from cnnexplain.cli.app import main
from cnnexplain.inputs import datasets

images, digits = datasets.mnist("train")
datasets.DataSet.load = lambda _, split: (images[:500], digits[:500])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(main(sys.argv[1:]))
