"""Packages of other people: what `new-plugin` writes, and the example, installed into an environment of their own."""

import pytest

from cnnexplain.cli import scaffold
from cnnexplain.plugin import registry


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_new_packages_are_complete(cli, tmp_path):
    code, out, _ = cli("new-plugin", "edge-energy")
    written = tmp_path / "cnnexplain-edge-energy"
    assert code == 0
    assert files(written) == [
        *(".gitignore", "README.md", "cnnexplain_edge_energy.py", "docs/edge-energy.md", "pyproject.toml"),
        "tests/test_edge_energy.py",
    ]
    assert len((written / "cnnexplain_edge_energy.py").read_text().splitlines()) <= 80
    assert out.splitlines()[-1] == ("Next: pip install -e cnnexplain-edge-energy && cnnexplain check-plugin edge-energy")
    assert [path.name for path in tmp_path.iterdir()] == ["cnnexplain-edge-energy"]


def test_new_packages_have_no_long_lines(cli, tmp_path):
    """Ruff would reject them."""
    cli("new-plugin", "a" * scaffold.LONGEST, "--out", tmp_path / "new")
    for path in (tmp_path / "new").rglob("*.py"):
        assert max(map(len, path.read_text().splitlines())) <= 125


def test_nothing_is_overwritten(cli, tmp_path):
    kept = tmp_path / "mine"
    kept.mkdir()
    code, _, err = cli("new-plugin", "edge-energy", "--out", kept)
    assert code == 1
    assert f"'{kept}' exists; choose another folder with --out." in err
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Edge", "lowercase words joined by hyphens, such as 'edge-energy', with at most 40 characters, but got 'Edge'"),
        ("../edge", "but got '../edge'"),
        ("a" * 41, "at most 40 characters"),
        ("all", "No analysis can be named 'all'"),
        ("saliency", "The name 'saliency' is taken"),
        ("keras-applications", "The name 'keras-applications' is taken"),
    ],
)
def test_invalid_package_names_are_refused(cli, tmp_path, name, words):
    code, _, err = cli("new-plugin", name)
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_the_example_has_its_own_analysis_name():
    assert "shapley" not in registry.load().analyses
