"""Measures the cold start of the command line, compared with `python -c "import keras"` in the same environment.

Runs the commands alternately, so that other load on the machine affects all of them, and prints the medians and the ratios.
Run it with: python benchmarks/cold_start.py [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "cnnexplain")
COMMANDS = {
    "import keras": [sys.executable, "-c", "import keras"],
    "run saliency": [COMMAND, "run", "saliency"],
    "--help": [COMMAND, "--help"],
    "run saliency --help": [COMMAND, "run", "saliency", "--help"],
    "list": [COMMAND, "list"],
}


def seconds(command: list[str], folder: str) -> float:
    """The wall-clock time in seconds of a command run in a folder; its output is discarded."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return time.perf_counter() - started


def main(rounds: int) -> None:
    """Prints a row for each command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, command in COMMANDS.items():
                duration = seconds(command, folder)
                # The first round fills the file cache.
                if number:
                    times[name].append(duration)
    print(f"median of {rounds} rounds    seconds   × import keras")
    for name, walls in times.items():
        ratios = [wall / keras for wall, keras in zip(walls, times["import keras"], strict=True)]
        print(f"{name:22} {statistics.median(walls):9.2f} {statistics.median(ratios):13.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
