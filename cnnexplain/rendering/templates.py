"""The templates of the pages, their filters and the pages' content security policies."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2

from cnnexplain import __version__, draw, markup
from cnnexplain.draw import formatting, wording

MARK = "<!-- cnnexplain report 1 -->"
"""The second line of a report, by which a file is recognized as one."""

PARTS = {"page.css": ("page.css", "panels.css", "checks.css"), "page.js": ("page.js", "panels.js")}
"""Assets that are concatenated from several files."""


def get(name: str) -> jinja2.Template:
    """The template of a file in the folder `pages`."""
    return _environment().get_template(name)


def policy(images: str, *, script: str) -> str:
    """A content security policy that allows only our style sheet, one of our scripts, and pictures from some sources.

    Args:
        images: The sources of pictures.
        script: The file of the script.
    """
    sources = {"img": images, "style": _hash(_asset("page.css")), "script": _hash(_asset(script))}
    allowed = ["default-src 'none'", *(f"{kind}-src {source}" for kind, source in sources.items())]
    # default-src does not cover these.
    return "; ".join([*allowed, "base-uri 'none'", "form-action 'none'"])


def encoded(data: bytes) -> str:
    """Bytes as Base64 text."""
    return base64.b64encode(data).decode("ascii")


def data_uri(picture: bytes, kind: str = "webp") -> str:
    """A picture as a data URI.

    Args:
        picture: The bytes of the file.
        kind: Its format.
    """
    return f"data:image/{kind};base64,{encoded(picture)}"


def _link(name: str) -> str:
    """The relative URL of a file in the folder of the page."""
    return "./" + quote(name, errors="surrogateescape")


def _picture_kind(name: str) -> bool:
    return Path(name).suffix.lower() in (".png", ".svg")


def _share(probability: float) -> str:
    """The length of a bar, as CSS."""
    return f"{100 * probability:.2f}%" if math.isfinite(probability) else "0%"


@cache
def _environment() -> jinja2.Environment:
    environment = markup.environment()
    environment.filters |= {
        "amount": lambda image: wording.model_output(image["probability"], image["value"], image["unit"]),
        "percent": formatting.probability,
        "source": draw.source_name,
        "share": _share,
        "link": _link,
    }
    environment.tests |= {"picture": _picture_kind}
    environment.globals |= {
        "style": _asset("page.css"),
        "script": _asset("page.js"),
        "index_script": _asset("index.js"),
        "version": __version__,
        "mark": MARK,
    }
    return environment


@cache
def _asset(name: str) -> str:
    pages = resources.files("cnnexplain.rendering") / "pages"
    return "\n".join((pages / part).read_text(encoding="utf-8").strip() for part in PARTS.get(name, (name,)))


def _hash(text: str) -> str:
    """A source of a content security policy: this text and no other."""
    return f"'sha256-{encoded(hashlib.sha256(text.encode()).digest())}'"
