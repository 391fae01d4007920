"""The script for machines with a GPU, tried small on the processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "gpu.sh"


@pytest.mark.slow
def test_gpu_script_compares_and_times_every_analysis(tmp_path):
    import keras

    from cnnexplain.plugin import registry

    backend = keras.backend.backend()
    subprocess.run(
        ["bash", SCRIPT, "--small", backend],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "OUT": str(tmp_path),
            "SECONDS_EACH": "80",
            "PACKED": str(tmp_path / "nothing"),
        },
        check=True,
        capture_output=True,
        timeout=240,
    )
    found = json.loads((tmp_path / "gpu.json").read_text())[backend]
    assert set(found["agreement"]) == {f"LeNet: {name}" for name in registry.load().analyses}
    assert all(each["agrees"] for each in found["agreement"].values())
    assert not found["left out"]
    speed = json.loads((tmp_path / "gpu-speed.json").read_text())
    assert speed["rows"]
