"""Which heavy modules command lines import: heavy_imports.py COMMANDS, a list of lists of arguments as JSON.

The last line printed is JSON: the exit codes, and the heavy modules that are imported at the end.
"""

import json
import sys

HEAVY = {"keras", "tensorflow", "jax", "torch", "matplotlib", "h5py", "numpy"}


def imported():
    return sorted(HEAVY & set(sys.modules))


if __name__ == "__main__":
    from cnnexplain.cli.app import main

    codes = [main(arguments) for arguments in json.loads(sys.argv[1])]
    print(json.dumps([codes, imported()]))
