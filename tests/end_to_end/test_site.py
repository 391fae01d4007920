"""The documentation as a site: built strictly, it asks nothing of another address."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs: pip install '.[docs]'")

FETCHED = (
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?([^"' >]+)|<link\b[^>]*\bhref=["']?([^"' >]+)|url\(["']?([^"')]+)"""
)
"""What a browser fetches of a page or style sheet by itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built by a process in which an import of Keras fails, since the site is read from the code and runs none of it."""
    built = tmp_path_factory.mktemp("site")
    root = Path(__file__).parent.parent.parent
    program = root / "tests/programs/build_site.py"
    done = subprocess.run([sys.executable, program, built], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.mark.slow
def test_the_site_builds_strictly_without_external_requests(site):
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 10
    fetched = {next(filter(None, found)) for page in pages for found in re.findall(FETCHED, page.read_text())}
    assert any(address.endswith(".css") for address in fetched)
    assert [address for address in fetched if re.match(r"(https?:)?//", address)] == []


@pytest.mark.slow
def test_formulas_are_mathml_and_markers_are_replaced(site):
    text = (site / "analyses" / "occlusion.html").read_text()
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in text
    for page in site.rglob("*.html"):
        assert "arithmatex" not in page.read_text()
        assert not re.search(r"<!-- (about|summary|options|file):", page.read_text())
    assert list(site.rglob("*.py")) == []
