"""Every example runs as its first lines say, and the README's own code does what it says."""

import re
import runpy
import sys

import pytest

from cnnexplain.plugin import registry


@pytest.fixture(autouse=True)
def within(tmp_path, monkeypatch):
    """An empty folder to run programs in; the process is that of the tests, which has started Keras."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_every_analysis_has_a_working_example(folder, tmp_path, capsys, monkeypatch):
    analyses = list(registry.load().analyses)
    scripts = [folder / "examples" / f"{name.replace('-', '_')}.py" for name in analyses]
    # A new analysis needs none, but none gets lost.
    scripts = [script for script in scripts if script.exists()]
    assert len(scripts) >= 12
    analyses = [script.stem.replace("_", "-") for script in scripts]
    for name, script in zip(analyses, scripts, strict=True):
        monkeypatch.setattr(sys, "argv", [str(script)])
        runpy.run_path(str(script), run_name="__main__")
        printed = capsys.readouterr().out
        written = tmp_path / "cnnexplain-out" / f"example-{name}"
        assert (written / "result.json").exists()
        assert any(written.glob("*.png"))
        assert len(printed.splitlines()) >= 4
        assert f"python examples/{script.name}" in script.read_text()


@pytest.fixture
def blocks(folder):
    """The README's Python code blocks."""
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_python_code_in_readme_and_reference_runs(page, folder, digit_file, tmp_path):
    found = re.findall(r"```python\n(.*?)```", (folder / page).read_text(), re.DOTALL)
    (tmp_path / "program.py").write_text(next(block for block in found if "cx.load()" in block))
    runpy.run_path("program.py", run_name="__main__")


@pytest.mark.slow
def test_the_plugin_in_the_readme_works(shell, folder, blocks, tmp_path):
    """The README's plugin, written down as it tells, installed for this one process, and run."""
    text = (folder / "README.md").read_text()
    plugin = next(block for block in blocks if "hookimpl" in block)
    project = next(block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "entry-points" in block)
    point = re.search(r'^([\w-]+) = "(\w+)"$', project.partition("entry-points")[2], re.MULTILINE)
    info = tmp_path / "my_plugin-0.1.dist-info"
    info.mkdir()
    (tmp_path / f"{point[2]}.py").write_text(plugin)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[cnnexplain]\n{point[1]} = {point[2]}\n")
    done = shell("-m", "cnnexplain", "run", point[1], env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "mnist-test-42.png" in done.stdout
    assert (tmp_path / "cnnexplain-out" / point[1] / "mnist-test-42.png").exists()
