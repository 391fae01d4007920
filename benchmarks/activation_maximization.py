"""Recipes of activation maximization compared: the same classes and channels of two networks, each judged by the other.

For each network and recipe it writes a contact sheet, NETWORK-RECIPE.webp, the classes above and the channels below, and
a line of a table: how many of the classes the judge has in its first five (over the whole picture, and over
the best of it and nine crops), the median rank, the share of the pictures' energy above 0.25 cycles per pixel (about 2% in
photographs), the values over held-out views and of the whole picture, and seconds for each unit.

    python benchmarks/activation_maximization.py --out FOLDER
    KERAS_BACKEND=torch python benchmarks/activation_maximization.py --batch 256 --recipe maco --recipe maco:views=8
"""

from __future__ import annotations

import argparse
import ast
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import cnnexplain as cx

CLASSES = (
    *("goldfish", "flamingo", "giant panda", "tabby", "monarch"),
    *("castle", "volcano", "pizza", "espresso", "acoustic guitar"),
)
CHANNELS = (3, 11, 17, 29, 38)
"""Of each of two layers, the ends of the stages that are third and fourth from the last."""

PAIRS = ("efficientnet-lite0/efficientnet-lite2", "efficientnet-lite2/efficientnet-lite0")
RECIPES = ("robust", "fourier", "spectrum", "maco")
PIXELS = ("robust", "fourier", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4", "none")
SIDE, GAP, ACROSS = 224, 4, 5
"""Pixels of a picture on a contact sheet and between them, and how many stand in a row."""


def main() -> None:
    """Compares the recipes and writes what comes of them, after each one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-activation-maximization"))
    parser.add_argument("--network", action="append", help="NETWORK/JUDGE (repeatable)")
    parser.add_argument("--recipe", action="append", help="NAME or NAME:option=value,… (repeatable)")
    parser.add_argument("--classes", type=int, default=10, help="how many of the ten")
    parser.add_argument("--channels", type=int, default=10, help="how many of the ten")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--starts", type=int, default=1, help="of recipes that optimize pixels")
    parser.add_argument("--batch", type=int, help="images that go through a network at once, where a GPU has the memory")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| network | recipe | top 5 | top 5 with crops | median rank | > 0.25 c/px | over views | whole | s/unit |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    lines = []
    for pair in given.network or PAIRS:
        name, _, judge = pair.partition("/")
        network = cx.load(name)
        if given.batch:
            network.batch_size = given.batch
        for recipe in given.recipe or RECIPES:
            line = compared(network, judge, recipe, given)
            lines.append(line)
            (given.out / "table.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False))
            print(row(line), flush=True)


def compared(network: cx.Classifier, judge: str, recipe: str, given: argparse.Namespace) -> dict[str, Any]:
    """The pictures of one recipe for one network, written as a contact sheet, and what is measured of them."""
    name, _, parts = recipe.partition(":")
    options: dict[str, Any] = {"regularization": name, "steps": given.steps}
    options |= {"starts": given.starts} if name in PIXELS else {}
    options |= {key: ast.literal_eval(value) for key, _, value in (part.partition("=") for part in parts.split(",") if part)}
    late, middle = network.stages[-3], network.stages[-4]
    channels = [cx.Channel(layer, index) for layer in (late, middle) for index in CHANNELS][: given.channels]
    classes = [network.target(label) for label in CLASSES[: given.classes]]
    safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in recipe)
    began = time.perf_counter()
    records, rows = [], []
    asked: list[tuple[list[Any], str | None]] = [(classes, judge), (channels, None)]
    for targets, judged in asked:
        if targets:
            records.append(cx.explain("activation-maximization", network, target=targets, judge=judged, **options))
            rows.append(network.preprocess.decode(records[-1].arrays["optimum"]).clip(0, 1))
            sheet(rows).save(given.out / f"{network.name}-{safe}.webp", quality=80)
    seconds = (time.perf_counter() - began) / (len(classes) + len(channels))
    facts = {name: [value for record in records for value in record.facts[name]] for name in ("unit", "value", "view_value")}
    return {
        "network": network.name,
        "judge": judge,
        "recipe": recipe,
        "steps": given.steps,
        **facts,
        "rank": records[0].facts["judge_rank"],
        "best_rank": records[0].facts["judge_best_rank"],
        "energy": [fine(picture) for pictures in rows for picture in pictures],
        "seconds": seconds,
    }


def row(line: dict[str, Any]) -> str:
    """A line of the table; values are the means over the classes."""
    count = len(line["rank"])
    views = line["view_value"][:count]
    cells = [
        line["network"],
        line["recipe"],
        f"{sum(rank <= 5 for rank in line['rank'])} of {count}",
        f"{sum(rank <= 5 for rank in line['best_rank'])} of {count}",
        f"{np.median(line['rank']):g}, {np.median(line['best_rank']):g}",
        f"{100 * np.mean(line['energy']):.1f}%",
        "–" if None in views else f"{np.mean(views):.1f}",
        f"{np.mean(line['value'][:count]):.1f}",
        f"{line['seconds']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def fine(picture: np.ndarray[Any, Any]) -> float:
    """The share of a picture's energy, less that of its mean, above 0.25 cycles per pixel."""
    gray = picture.mean(axis=-1)
    energy = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, gray.shape), indexing="ij"))
    return float(energy[frequency > 0.25].sum() / energy.sum())


def sheet(rows: list[np.ndarray[Any, Any]]) -> Image.Image:
    """Pictures (N, H, W, 3) from 0 to 1, in rows of at most `ACROSS`."""
    rows = [pictures[start : start + ACROSS] for pictures in rows for start in range(0, len(pictures), ACROSS)]
    step = SIDE + GAP
    found = Image.new("RGB", (max(map(len, rows)) * step - GAP, len(rows) * step - GAP), "white")
    for down, pictures in enumerate(rows):
        for across, picture in enumerate(pictures):
            image = Image.fromarray((255 * picture + 0.5).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            found.paste(image, (across * step, down * step))
    return found


if __name__ == "__main__":
    main()
