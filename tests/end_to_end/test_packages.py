"""Packages of other people: what `new-plugin` writes, and the example, installed into an environment of their own."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest


@pytest.fixture
def environment(tmp_path):
    """Installs a package, without a network, into an environment that has all of this one too, and runs its Python."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    site = sysconfig.get_path("purelib")
    with open(f"{found.stdout.strip()}/all_of_this_one.pth", "w") as path:
        path.write(f"import site; site.addsitedir({site!r})\n")

    def run(*words, folder=tmp_path, fails=False, **variables):
        done = subprocess.run(
            [python, *map(str, words)],
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout

    def install(folder):
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--no-index", folder], check=True)
        return run

    return install


@pytest.mark.slow
def test_a_new_package_passes_its_tests_and_check_plugin(cli, environment, folder, tmp_path):
    cli("new-plugin", "edge-energy", "--out", tmp_path / "new")
    run = environment(tmp_path / "new")
    here = {"folder": tmp_path / "new", "MYPYPATH": str(folder)}
    # Its conformance tests are what check-plugin does below.
    assert "passed" in run("-m", "pytest", "-q", "-k", "not conformance", **here)
    run("-m", "ruff", "check", ".", **here)
    run("-m", "ruff", "format", "--check", ".", **here)
    assert "Success: no issues found in 1 source file" in run("-m", "mypy", "--follow-imports=silent", **here)
    assert "edge-energy passes all" in run("-m", "cnnexplain", "check-plugin", "edge-energy")


@pytest.mark.slow
def test_the_example_package_works_like_a_built_in(environment, folder, tmp_path):
    example = shutil.copytree(folder / "examples" / "third_party_plugin", tmp_path / "example")
    run = environment(example)
    listed = run("-m", "cnnexplain", "list")
    assert "shapley" in listed
    assert "cnnexplain-shapley 0.1.0" in listed
    assert "--squares" in run("-m", "cnnexplain", "run", "shapley", "--help")
    run("-m", "cnnexplain", "run", "shapley", "mnist:test/42", "--squares", "4", "--permutations", "3", "--target", "9")
    told = json.loads((tmp_path / "cnnexplain-out/shapley/result.json").read_text())
    assert told["options"] == {"squares": 4, "permutations": 3, "fill": "black", "seed": 0}
    assert told["plugin"] == {"name": "shapley", "distribution": "cnnexplain-shapley", "version": "0.1.0"}
    assert told["images"][0]["target"] == "9"
    assert (tmp_path / "cnnexplain-out/shapley/mnist-test-42.png").stat().st_size > 10_000
    run("-m", "cnnexplain", "report", "mnist:test/42", "--analysis", "shapley", "--analysis", "saliency")
    page = (tmp_path / "cnnexplain-out/report.html").read_text()
    assert "averaged over all orders in which squares can be revealed" in page
    assert "cnnexplain-shapley 0.1.0" in page
    # What check-plugin does is tried on the package of new-plugin.
    assert "passed" in run("-m", "pytest", "-q", "-k", "not backends", folder=example)
