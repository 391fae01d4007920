"""Prints the lowest version that pyproject.toml allows of each dependency, as constraints for pip."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
    found = re.fullmatch(r"([\w-]+)[>=]=([\d.]+)", requirement)
    if found is None:
        sys.exit(f"no lower bound in {requirement!r}")
    print(f"{found[1]}=={found[2]}")
