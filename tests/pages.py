"""Made records, a stand-in for a classifier, and a reader of HTML, so that pages can be tested without a network."""

import base64
import re
import zlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure

from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.source import Source
from cnnexplain.model.geometry.layers import Layer
from cnnexplain.model.structure.model_inputs import IMAGE, Inputs
from cnnexplain.plugin import Analysis, Check, Measurement, Option
from cnnexplain.rendering import report_page
from cnnexplain.rendering.drawn import draw_record
from cnnexplain.results.explained import Explained
from cnnexplain.results.record import Record
from cnnexplain.results.verification import Row, Verification

HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=2">\'{{ 7*7 }}&amp;'
"""What a label, a file's name or a plugin's word may try."""

HEIGHT, WIDTH = 6, 8
PREPROCESS = Preprocess(HEIGHT, WIDTH, "gray")
PROVENANCE = {
    "model": {"name": "made", "sha256": "ab" * 32, "output": "scores", "head": "softmax"},
    "plugin": {"name": "made", "distribution": "maker", "version": "1.5"},
    "keras": {"version": "3", "backend": "none"},
}


@dataclass
class Stand:
    """What a page asks of a classifier."""

    labels: tuple = ("cat", "dog", "owl")
    name: str = "made"
    sha256: str = "ab" * 32
    preprocess: Preprocess = PREPROCESS
    head: str = "softmax"
    outputs: int = 3
    unit: str = ""
    inputs: Inputs = IMAGE
    layers: tuple = (Layer("conv", "Conv2D", (4, 6, 2), 20), Layer("scores", "Dense", (3,), 147))
    training_figures: dict = field(default_factory=lambda: {"epochs": 3, "<b>by</b>": "<i>Ada</i>"})
    shares: tuple = field(default=(0.125, 0.625, 0.25))

    def predict(self, images):
        return np.tile(np.float32(self.shares), (len(images), 1))


def unpacked(each, height=HEIGHT, width=WIDTH):
    """The values (height, width) of a map as a page's JSON holds it."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(each["data"])), np.uint8).reshape(-1, height, width)
    whole = sum(256**number * plane.astype(np.int64) for number, plane in enumerate(planes))
    if each["differences"]:
        whole = whole.cumsum(axis=0).cumsum(axis=1) % 256 ** len(planes)
    return each["low"] + each["step"] * whole


def analysis(
    name="made-map", paper="Nobody 2026 (arXiv:2601.01234)", word="", maps=None, overview=None, dataset=False, **more
):
    def run(images, *, depth: Annotated[int, Option(f"How deep.{word}")] = 3):
        pass

    def run_with(images, dataset, *, depth: Annotated[int, Option(f"How deep.{word}")] = 3):
        pass

    chosen = run_with if dataset else run
    chosen.__doc__ = f"What was made.{word}"
    units = {"signed_map": f"volts{word}", "unsigned_map": f"volts{word}"} if maps is None else maps
    return Analysis(name, chosen, draw, paper, overview, f"Its limit.{word}", f"Its reading.{word}", units, **more)


def draw(record, index):
    return Figure((1, 1))


def record(sources=("one.png",), *, made=None, arrays=None, facts=None, word="", targets=None, **changes):
    """A record of images with a signed and an unsigned map, whose values are all different."""
    count = len(sources)
    values = np.arange(count * HEIGHT * WIDTH, dtype=np.float32).reshape(count, HEIGHT, WIDTH)
    given = {
        "analysis": made or analysis(word=word),
        "options": {"depth": 3},
        "images": np.linspace(0, 1, count * HEIGHT * WIDTH, dtype=np.float32).reshape(count, HEIGHT, WIDTH, 1),
        "explained": tuple(
            Explained(Source(name, name.encode("utf-8", "replace").hex().ljust(64, "0")[:64]), 1, 0.625, target, 0.25)
            for name, target in zip(sources, targets or [1] * count, strict=True)
        ),
        "arrays": arrays or {"signed_map": (values - 20) / 7, "unsigned_map": values / 3},
        "facts": {"peak": [1.5] * count} if facts is None else facts,
        "labels": Stand.labels,
        "preprocess": PREPROCESS,
        "provenance": PROVENANCE,
        "warnings": (),
        "seconds": 0.5,
        "span": range(count),
        "skipped": {},
    }
    return Record(**(given | changes))


def verification(sources=("one.png",), *, word="", values=(0.5, 0.5, None), analysis="made-map", model=PROVENANCE["model"]):
    """A verification of three checks with the limit 1, by what they have measured for the last image."""
    words = (("sum", "definition"), (f"far{word}"[:60], f"kind{word}"[:60]), ("seeds", "stability"))
    rows = tuple(
        Row(
            kind,
            Check(name, f"What it means.{word}", lambda subject: Measurement(0.0)),
            (
                *(Measurement(None if value is None else 0.25, 1.0),) * (len(sources) - 1),
                Measurement(value, 1.0, f"Measured.{word}"),
            ),
        )
        for (name, kind), value in zip(words, values, strict=True)
    )
    return Verification(analysis, model, tuple(sources), rows, 2.5)


class Read(HTMLParser):
    """The elements of a page with their attributes, and all its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.words, self.held, self.open = [], [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.open = (tag, dict(attributes))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.open = None

    def handle_data(self, data):
        if self.open:
            self.held.append((*self.open, data))
        else:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def made(*records, classifier=None, **options):
    return report_page.render([draw_record(record) for record in records], classifier or Stand(), **options)
