"""Recipes of activation maximization compared: the same classes and channels of two networks, each judged by the other.

For each network and recipe it writes a contact sheet, NETWORK-RECIPE.webp, the classes in the first row and the channels in
the second, and a line of a table: how many of the classes the judge has in its first five (over the whole picture, and over
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
CHANNELS = (3, 17, 29, 40, 58)
RECIPES = ("robust", "fourier", "spectrum", "maco")
PIXELS = ("robust", "fourier", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4", "none")
SIDE, GAP = 224, 4
"""Pixels of a picture on a contact sheet, and between them."""


def main() -> None:
    """Compares the recipes and writes what comes of them, after each one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmark-activation-maximization"))
    parser.add_argument("--model", nargs=2, default=["efficientnet-lite0", "efficientnet-lite2"], help="two networks")
    parser.add_argument("--recipe", action="append", help="NAME or NAME:option=value,… (repeatable)")
    parser.add_argument("--units", type=int, default=10, help="how many classes, and how many channels")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--starts", type=int, default=1, help="of recipes that optimise pixels")
    parser.add_argument("--batch", type=int, help="images that go through a network at once, where a GPU has the memory")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    networks = [cx.load(name) for name in given.model]
    for network in networks:
        if given.batch:
            network.batch_size = given.batch
    print("| network | recipe | top 5 | top 5 with crops | median rank | > 0.25 c/px | over views | whole | s/unit |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    lines = []
    for network, judge in zip(networks, given.model[::-1], strict=True):
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
    classes = [network.target(label) for label in CLASSES[: given.units]]
    late, middle = network.stages[-3], network.stages[-4]
    channels = [cx.Channel(layer, index) for layer in (late, middle) for index in CHANNELS][: given.units]
    began = time.perf_counter()
    of_classes = cx.explain("activation-maximization", network, target=classes, judge=judge, **options)
    of_channels = cx.explain("activation-maximization", network, target=channels, **options)
    seconds = (time.perf_counter() - began) / (len(classes) + len(channels))
    rows = [network.preprocess.decode(record.arrays["optimum"]).clip(0, 1) for record in (of_classes, of_channels)]
    safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in recipe)
    sheet(rows).save(given.out / f"{network.name}-{safe}.webp", quality=88)
    ranks, best = (of_classes.facts[fact] for fact in ("judge_rank", "judge_best_rank"))
    views = [value for record in (of_classes, of_channels) for value in record.facts["view_value"]]
    return {
        "network": network.name,
        "judge": judge,
        "recipe": recipe,
        "units": [*of_classes.facts["unit"], *of_channels.facts["unit"]],
        "rank": ranks,
        "best_rank": best,
        "energy": [fine(picture) for pictures in rows for picture in pictures],
        "view_value": views,
        "value": [*of_classes.facts["value"], *of_channels.facts["value"]],
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
    grey = picture.mean(axis=-1)
    energy = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, grey.shape), indexing="ij"))
    return float(energy[frequency > 0.25].sum() / energy.sum())


def sheet(rows: list[np.ndarray[Any, Any]]) -> Image.Image:
    """Pictures (N, H, W, 3) from 0 to 1, in rows."""
    step = SIDE + GAP
    found = Image.new("RGB", (max(map(len, rows)) * step - GAP, len(rows) * step - GAP), "white")
    for down, pictures in enumerate(rows):
        for across, picture in enumerate(pictures):
            image = Image.fromarray((255 * picture + 0.5).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            found.paste(image, (across * step, down * step))
    return found


if __name__ == "__main__":
    main()
