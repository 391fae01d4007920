"""Compares recipes of activation maximization on the same classes and channels of two networks, each judging the other.

For each network and recipe, it writes a contact sheet, NETWORK-RECIPE.webp, with the classes above the channels, and
prints a row of a table: the number of classes that are among the judge's top five (for the whole picture, and for the best
of it and nine crops), the median rank, the share of the pictures' energy above 0.25 cycles per pixel (about 2% in
photographs), the values over held-out views and of the whole picture, and the seconds per unit.

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
"""Channels of two layers: the last ones of the third- and fourth-to-last stages."""

PAIRS = ("efficientnet-lite0/efficientnet-lite2", "efficientnet-lite2/efficientnet-lite0")
RECIPES = ("robust", "fourier", "spectrum", "maco")
PIXELS = ("robust", "fourier", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4", "none")
SIDE, GAP, ACROSS = 224, 4, 5
"""Pixels of a picture on a contact sheet, and between pictures; pictures per row."""


def main() -> None:
    """Compares the recipes, and writes the results after each one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-activation-maximization"))
    parser.add_argument("--network", action="append", help="NETWORK/JUDGE (repeatable)")
    parser.add_argument("--recipe", action="append", help="NAME or NAME:option=value,… (repeatable)")
    parser.add_argument("--classes", type=int, default=10, help="number of them, up to ten")
    parser.add_argument("--channels", type=int, default=10, help="number of them, up to ten")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--starts", type=int, default=1, help="number of starts, for recipes that optimize pixels")
    parser.add_argument("--batch", type=int, help="batch size, if a GPU has the memory")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| network | recipe | top 5 | top 5 with crops | median rank | > 0.25 c/px | over views | whole | s/unit |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    lines = []
    for pair in arguments.network or PAIRS:
        name, _, judge = pair.partition("/")
        network = cx.load(name)
        if arguments.batch:
            network.batch_size = arguments.batch
        for recipe in arguments.recipe or RECIPES:
            line = compared(network, judge, recipe, arguments)
            lines.append(line)
            (arguments.out / "table.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False))
            print(row(line), flush=True)


def compared(network: cx.Classifier, judge: str, recipe: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the pictures of one recipe for one network as a contact sheet, and returns the measurements."""
    name, _, parts = recipe.partition(":")
    options: dict[str, Any] = {"regularization": name, "steps": arguments.steps}
    options |= {"starts": arguments.starts} if name in PIXELS else {}
    options |= {key: ast.literal_eval(value) for key, _, value in (part.partition("=") for part in parts.split(",") if part)}
    late, middle = network.stages[-3], network.stages[-4]
    channels = [cx.Channel(layer, index) for layer in (late, middle) for index in CHANNELS][: arguments.channels]
    classes = [network.target(label) for label in CLASSES[: arguments.classes]]
    file_name = "".join(each if each.isalnum() or each in "-_." else "_" for each in recipe)
    started = time.perf_counter()
    records, rows = [], []
    groups: list[tuple[list[Any], str | None]] = [(classes, judge), (channels, None)]
    for targets, judged in groups:
        if targets:
            records.append(cx.explain("activation-maximization", network, target=targets, judge=judged, **options))
            rows.append(network.preprocess.decode(records[-1].arrays["optimum"]).clip(0, 1))
            sheet(rows).save(arguments.out / f"{network.name}-{file_name}.webp", quality=80)
    seconds = (time.perf_counter() - started) / (len(classes) + len(channels))
    facts = {name: [value for record in records for value in record.facts[name]] for name in ("unit", "value", "view_value")}
    return {
        "network": network.name,
        "judge": judge,
        "recipe": recipe,
        "steps": arguments.steps,
        **facts,
        "rank": records[0].facts["judge_rank"],
        "best_rank": records[0].facts["judge_best_rank"],
        "energy": [fine(picture) for pictures in rows for picture in pictures],
        "seconds": seconds,
    }


def row(line: dict[str, Any]) -> str:
    """A row of the table; values are means over the classes."""
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
    """The share of the energy of a picture, without its mean, above 0.25 cycles per pixel."""
    gray = picture.mean(axis=-1)
    energy = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, gray.shape), indexing="ij"))
    return float(energy[frequency > 0.25].sum() / energy.sum())


def sheet(rows: list[np.ndarray[Any, Any]]) -> Image.Image:
    """Draws pictures (N, H, W, 3) with values from 0 to 1, in rows of at most `ACROSS`."""
    rows = [pictures[start : start + ACROSS] for pictures in rows for start in range(0, len(pictures), ACROSS)]
    step = SIDE + GAP
    image = Image.new("RGB", (max(map(len, rows)) * step - GAP, len(rows) * step - GAP), "white")
    for down, pictures in enumerate(rows):
        for across, picture in enumerate(pictures):
            tile = Image.fromarray((255 * picture + 0.5).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            image.paste(tile, (across * step, down * step))
    return image


if __name__ == "__main__":
    main()
