"""Writes the tables of docs/ground-truth.md: how well all built-in methods find the pixels that are known to be relevant.

Run it in the root of the repository; it takes minutes: python docs/make_truth.py [--seed SEED] [--json BOARD.json]
With --from BOARD.json, the tables are written from the figures of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cnnexplain as cx

PAGE = Path(__file__).parent / "ground-truth.md"

METHODS = [
    "saliency",
    "smoothgrad",
    "gradient-x-input",
    "integrated-gradients",
    "integrated-gradients:baseline=gray",
    "integrated-gradients:baseline=blur",
    "gradcam",
    "gradcam:method=gradcam++",
    "gradcam:method=scorecam",
    "gradcam:method=layercam",
    "occlusion",
    "occlusion:fill=black",
    "rise",
    "rise:of=logit",
]
"""The built-in analyses with a map of the image, and those of their options that define another method or baseline."""

SHORT = {"tetrominoes-": "", "-white": ", white", "-correlated": ", correlated"}
"""How the names of cases are shortened in the heads of columns."""


def main() -> None:
    """Measures, and replaces the parts of the page between the marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--from", type=Path, dest="source", help="figures of an earlier run")
    options = parser.parse_args()
    if options.source:
        document = json.loads(options.source.read_text(encoding="utf-8"))
    else:
        import keras

        board = cx.benchmark_truth(
            METHODS, seed=options.seed, progress=lambda done, of: print(f"{done} of {of}", flush=True)
        )
        document = board.document() | {"software": f"Keras {keras.__version__} with {keras.backend.backend()}"}
    if options.json:
        options.json.write_text(json.dumps(document), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")


def page(text: str, document: dict[str, Any]) -> str:
    """The page with tables of these figures."""
    parts = {"measured": measured(document), "cases": cases(document), "leaderboard": leaderboard(document)}
    for mark, part in {**parts, "by case": by_case(document)}.items():
        pattern = re.compile(f"(?<=<!-- {mark} -->\n).*?(?=<!-- end of {mark} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"The page has no part between <!-- {mark} --> and <!-- end of {mark} -->.")
        text = pattern.sub(lambda _, part=part: f"\n{part}\n\n", text)
    return text


def measured(document: dict[str, Any]) -> str:
    """A sentence on how the figures were measured."""
    images = document["cases"][0]["images"]
    confidence, resamples = document["intervals"]["confidence"], document["intervals"]["resamples"]
    return (
        f"Measured with {document['software']}: {len(document['cases'])} networks with {images} images each, seed "
        f"{document['seed']}; "
        f"{confidence:.0%} bootstrap intervals over the images ({resamples:,} samples)."
    )


def cases(document: dict[str, Any]) -> str:
    """A table of the cases."""
    rows = []
    for case in document["cases"]:
        figures = "; ".join(f"{name} {value:.1%}" for name, value in case["figures"].items())
        source = re.sub(r"arXiv:([\d.]*\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", case["source"]) or "set by hand"
        signs = {"for": "signed values", "both": "magnitudes"}[case["evidence"]]
        share = f"{case['share_of_relevant_pixels']:.1%}"
        rows.append([f"`{case['name']}`", case["right"], share, signs, figures or "exact", source])
    return _table(["case", "what is relevant", "share of the pixels", "compared", "checked", "source"], rows, 6)


def leaderboard(document: dict[str, Any]) -> str:
    """A table of all methods, the best in the trained cases first, with the controls that they do not beat there."""
    trained = {metric["name"]: _named(metric["methods_trained"]) for metric in document["metrics"]}
    weights = {metric["name"]: _named(metric["methods_by_weights"]) for metric in document["metrics"]}
    rows = []
    for name in next(iter(trained.values())):
        unbeaten = list(
            dict.fromkeys(control for column in trained.values() for control in column[name]["unbeaten_controls"])
        )
        scores = [_interval(column[name]) for column in trained.values()]
        scores += [f"{column[name]['mean']:.2f}" for column in weights.values()]
        rows.append([_label(document, name), *scores, _escaped(", ".join(unbeaten))])
    heads = [f"{name.replace('-', ' ')}, {group}" for group in ("trained", "by weights") for name in trained]
    return _table(["method (*control*)", *heads, "does not beat"], rows, 1)


def by_case(document: dict[str, Any]) -> str:
    """A table of the first metric for each method in each case; the best methods are bold."""
    metric = document["metrics"][0]
    means = {
        case["name"]: {each["name"]: each["mean"] for each in case["metrics"][metric["name"]]} for case in document["cases"]
    }
    rows = []
    for method in _named(metric["methods_trained"]):
        cells = []
        for column in means.values():
            text = f"{column[method]:.2f}"
            cells.append(f"**{text}**" if text == f"{max(column.values()):.2f}" else text)
        rows.append([_label(document, method), *cells])
    return _table(["method (*control*)", *map(_short, means)], rows, 1)


def _table(head: list[str], rows: list[list[str]], left: int) -> str:
    """A Markdown table whose columns after the first ones are aligned to the right."""
    return "\n".join(_lines([head, ["---"] * left + ["--:"] * (len(head) - left), *rows]))


def _lines(rows: list[list[str]]) -> Iterator[str]:
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def _label(document: dict[str, Any], name: str) -> str:
    controls = {method["name"] for method in document["methods"] if method["kind"] == "control"}
    return f"*{_escaped(name)}*" if name in controls else f"`{name}`"


def _named(standings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in standings}


def _interval(standing: dict[str, Any]) -> str:
    low, high = standing["interval"]
    return f"{standing['mean']:.2f} ({low:.2f}–{high:.2f})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _short(name: str) -> str:
    for old, new in SHORT.items():
        name = name.replace(old, new)
    return name


if __name__ == "__main__":
    main()
