"""Progress in notebooks, and the notebook of the examples."""

import re
import types
from pathlib import Path

import IPython
import IPython.display
import nbformat
import pytest
from nbclient import NotebookClient

import cnnexplain as cx
from cnnexplain.rendering import notebook


class Display:
    """What a notebook would show, one after another."""

    def __init__(self):
        self.shown = []

    def __call__(self, page, display_id):
        assert display_id is True
        self.update(page)
        return self

    def update(self, page):
        self.shown.append(page.data)


@pytest.fixture
def clock(monkeypatch):
    now = types.SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now.seconds)
    return now


@pytest.fixture
def shown(monkeypatch):
    display = Display()
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    return display.shown


def test_slow_work_shows_progress(shown, clock):
    update = notebook.progress("saliency")
    update(1, 8)
    assert shown == []
    clock.seconds += 1.5
    update(2, 8)
    clock.seconds += 0.01
    update(3, 8)
    clock.seconds += 1
    update(4, 8)
    clock.seconds += 0.01
    update(8, 8)
    assert [text.partition("</progress> ")[2] for text in shown] == ["saliency: 25%", "saliency: 50%", ""]
    assert '<progress value="2" max="8"' in shown[0]
    assert shown[-1] == ""


def test_fast_work_shows_no_progress(shown, clock):
    update = notebook.progress("saliency")
    update(1, 2)
    clock.seconds += 5
    update(2, 2)
    assert shown == []


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace()], ids=["no IPython", "a terminal"])
def test_no_progress_outside_notebooks(shell, shown, clock, monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    update = notebook.progress("saliency")
    clock.seconds += 5
    update(1, 2)
    assert shown == []


def test_explain_shows_progress_by_default(lenet, noise, shown, monkeypatch):
    monkeypatch.setattr(notebook, "AFTER", 0)
    options = {"layer": ["conv1", "logits"], "iterations": 30}
    told = []
    cx.explain("inversion", lenet, noise[:1], progress=lambda *done: told.append(done), **options)
    assert len(told) > 1
    assert shown == []
    cx.explain("inversion", lenet, noise[:1], **options)
    # How many steps a call takes depends on the time of the calls before.
    assert re.match(rf'<progress value="\d+" max="{told[0][1]}" aria-label="inversion">', shown[0])
    assert shown[-1] == ""


@pytest.fixture(scope="module")
def tour():
    path = Path(__file__).parent.parent.parent / "examples" / "tour.ipynb"
    return nbformat.read(path, as_version=4)


def test_the_tour_is_stored_with_its_output(tour):
    """Pictures, a photograph's among them, and no error or log."""
    nbformat.validate(tour)
    code = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data"}
    assert sum("image/png" in output.data for output in outputs) >= 8
    assert any("espresso.jpg" in cell.source and cell.outputs for cell in code)
    assert len(nbformat.writes(tour)) < 3e6


@pytest.mark.slow
def test_the_tour_runs_without_errors_or_warnings(tour, folder, monkeypatch):
    # Within pytest the kernel would not show what TensorFlow logs.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    done = NotebookClient(
        tour, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder / "examples"}}
    ).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type in ("error", "stream")] == []
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 6
    results = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    assert any("Record(saliency of 2 images" in text for text in results)
