"""`python -m cnnexplain` is the command line."""

import sys

from cnnexplain.cli import main

sys.exit(main())
