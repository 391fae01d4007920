"""The memory and the time that images of 100 megapixels take to be read, by format, each in a process of its own.

Prints for each the size of the file, the peak of the resident memory beyond that before reading, and the seconds, or why it
is refused. Run it on Linux with: python benchmarks/images.py
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLUMNS, ROWS = 12_500, 8_000

READING = """
import re, sys, time
from pathlib import Path
from cnnexplain.inputs import images
from cnnexplain.inputs import preprocess

def peak():
    # What getrusage tells goes on from the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before, started = peak(), time.perf_counter()
try:
    images.read(sys.argv[1], preprocess.Preprocess(224, 224), None)
    outcome = f"{time.perf_counter() - started:4.1f} s"
except images.ImageError as error:
    outcome = str(error).replace(sys.argv[1], Path(sys.argv[1]).name)
print(f"{peak() - before:4.0f} MiB  {outcome}")
"""


def kinds() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """The files: each one's name, and what writes it."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 125, 3), np.uint8)
    small = Image.fromarray(noise)
    rgb = small.resize((COLUMNS, ROWS), Image.Resampling.BICUBIC)
    other = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gray = rgb.getchannel(0)
    rgba = rgb.copy()
    rgba.putalpha(gray)
    palette = small.quantize(64).resize(rgb.size, Image.Resampling.NEAREST)
    turned = Image.Exif()
    turned[0x0112] = 6

    def write(image: Image.Image, **how: Any) -> Callable[[Path], Any]:
        return lambda path: image.save(path, **how)

    fast: dict[str, Any] = {"compress_level": 1}
    yield "rgb.jpg", write(rgb)
    yield "progressive.jpg", write(rgb, progressive=True)
    yield "progressive-444.jpg", write(rgb, progressive=True, subsampling=0)
    yield "cmyk.jpg", write(rgb.convert("CMYK"))
    yield "turned.jpg", write(rgb, exif=turned)
    yield "rgb.png", write(rgb, **fast)
    yield "rgba.png", write(rgba, **fast)
    yield "turned.png", write(rgb, exif=turned, **fast)
    yield "palette.png", write(palette, transparency=3, **fast)
    yield "animated.png", write(rgb, save_all=True, append_images=[other], **fast)
    deep = np.asarray(gray, np.uint16) * 257
    yield "16-bit.png", write(Image.fromarray(deep), **fast)
    yield "rgb.bmp", write(rgb)
    yield "rgb.gif", write(palette)
    yield "animated.gif", write(palette, save_all=True, append_images=[palette.transpose(Image.Transpose.ROTATE_180)])
    for name, image in (("rgb", rgb), ("rgba", rgba), ("cmyk", rgb.convert("CMYK")), ("16-bit", Image.fromarray(deep))):
        yield f"{name}.tiff", write(image)
        yield f"{name}-lzw.tiff", write(image, compression="tiff_lzw")
    yield "real.tiff", write(Image.fromarray(deep.astype(np.float32)))
    yield "turned.tiff", write(rgb, exif=turned)
    yield "pages-lzw.tiff", write(rgb, save_all=True, append_images=[other], compression="tiff_lzw")
    yield "28-megapixels.webp", write(rgb.crop((0, 0, COLUMNS, 2240)), quality=50, method=0)
    yield "rgb.webp", write(rgb, quality=50, method=0)


def main() -> None:
    """Prints a row for each kind of file."""
    Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as folder:
        for name, write in kinds():
            path = Path(folder) / name
            write(path)
            done = subprocess.run([sys.executable, "-c", READING, str(path)], capture_output=True, text=True, check=True)
            print(f"{name:20} {path.stat().st_size >> 20:4} MiB  {done.stdout.strip()}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
