"""Prints the free memory, within a limit if one is given: free_memory.py [BYTES]."""

import resource
import sys

from cnnexplain.loading import memory

if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
print(memory.free())
