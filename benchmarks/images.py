"""Measures the memory and time for reading images of 100 megapixels, by format, each in a new process.

For each file, it prints the size, the increase of the peak memory, and the seconds, or why the file is rejected.
Run it on Linux with: python benchmarks/images.py
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnexplain.errors import ImageError
from cnnexplain.inputs import images, preprocess

COLUMNS, ROWS = 12_500, 8_000


def kinds() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """The names of the files, each with a function that writes the file."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 125, 3), np.uint8)
    small = Image.fromarray(noise)
    rgb = small.resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
    mirrored = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gray = rgb.getchannel(0)
    rgba = rgb.copy()
    rgba.putalpha(gray)
    palette = small.quantize(64).resize(rgb.size, Image.Resampling.NEAREST)
    rotated = Image.Exif()
    rotated[0x0112] = 6

    def write(image: Image.Image, **options: Any) -> Callable[[Path], Any]:
        return lambda path: image.save(path, **options)

    fast: dict[str, Any] = {"compress_level": 1}
    yield "rgb.jpg", write(rgb)
    yield "progressive.jpg", write(rgb, progressive=True)
    yield "progressive-444.jpg", write(rgb, progressive=True, subsampling=0)
    yield "cmyk.jpg", write(rgb.convert("CMYK"))
    yield "rotated.jpg", write(rgb, exif=rotated)
    yield "rgb.png", write(rgb, **fast)
    yield "rgba.png", write(rgba, **fast)
    yield "rotated.png", write(rgb, exif=rotated, **fast)
    yield "palette.png", write(palette, transparency=3, **fast)
    yield "animated.png", write(rgb, save_all=True, append_images=[mirrored], **fast)
    deep = np.asarray(gray, np.uint16) * 257
    yield "16-bit.png", write(Image.fromarray(deep), **fast)
    yield "rgb.bmp", write(rgb)
    yield "rgb.gif", write(palette)
    yield "animated.gif", write(palette, save_all=True, append_images=[palette.transpose(Image.Transpose.ROTATE_180)])
    for name, image in (("rgb", rgb), ("rgba", rgba), ("cmyk", rgb.convert("CMYK")), ("16-bit", Image.fromarray(deep))):
        yield f"{name}.tiff", write(image)
        yield f"{name}-lzw.tiff", write(image, compression="tiff_lzw")
    yield "real.tiff", write(Image.fromarray(deep.astype(np.float32)))
    yield "rotated.tiff", write(rgb, exif=rotated)
    yield "pages-lzw.tiff", write(rgb, save_all=True, append_images=[mirrored], compression="tiff_lzw")
    yield "28-megapixels.webp", write(rgb.crop((0, 0, COLUMNS, 2240)), quality=50, method=0)
    yield "rgb.webp", write(rgb, quality=50, method=0)


def main() -> None:
    """Prints a row for each file."""
    Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as folder:
        for name, write in kinds():
            path = Path(folder) / name
            write(path)
            done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=True)
            print(f"{name:20} {path.stat().st_size >> 20:4} MiB  {done.stdout.strip()}", flush=True)
            path.unlink()


def measure(path: str) -> None:
    """Reads an image, and prints the increase of the peak memory and the seconds, or why the image is rejected."""
    before, started = _peak(), time.perf_counter()
    try:
        images.read(path, preprocess.Preprocess(224, 224), None)
        outcome = f"{time.perf_counter() - started:4.1f} s"
    except ImageError as error:
        outcome = str(error).replace(path, Path(path).name)
    print(f"{_peak() - before:4.0f} MiB  {outcome}")


def _peak() -> float:
    """The peak memory of this process in MiB; the value that getrusage returns includes the parent process."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
