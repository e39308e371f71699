"""CPU time and peak memory of reading the largest pictures that are allowed, format by format.

    python benchmarks/largest_pictures.py --megapixels 64

Each picture holds as much noise as the limit of bytes allows, the worst case for every decoder, and is read in a
process of its own. A line gives the file's size, the CPU seconds of `image.read`, and the most memory that the process
ever held; a refusal is quoted.
"""

import argparse
import io
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from osteolens.errors import InputError
from osteolens.films import read as image

PICTURES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "L", {"quality": 90}),
    ("JPEG", "RGB", {"quality": 75}),
    ("JPEG", "RGB", {"quality": 75, "subsampling": 0}),
    ("JPEG", "RGB", {"quality": 60, "keep_rgb": True}),
    ("JPEG", "CMYK", {"quality": 60}),
    ("JPEG", "L", {"quality": 10, "progressive": True}),
    ("JPEG", "RGB", {"quality": 75, "progressive": True}),
    ("PNG", "1", {}),
    ("PNG", "L", {"compress_level": 1}),
    ("PNG", "P", {"compress_level": 1}),
    ("PNG", "LA", {"compress_level": 1}),
    ("PNG", "RGB", {"compress_level": 1}),
    ("PNG", "RGBA", {"compress_level": 1}),
    ("PNG", "I;16", {"compress_level": 1}),
    ("BMP", "L", {}),
    ("BMP", "RGB", {}),
    ("BMP", "RGBA", {}),
    ("WebP", "RGB", {"quality": 50, "method": 0}),
    ("WebP", "RGB", {"quality": 100, "method": 0}),
    ("WebP", "RGBA", {"lossless": True, "method": 0}),
    ("TIFF", "L", {}),
    ("TIFF", "I;16", {}),
    ("TIFF", "L", {"compression": "tiff_lzw"}),
    ("AVIF", "L", {"speed": 10}),
    ("AVIF", "RGB", {"speed": 10}),
)
NOISE_BYTES = 40_000_000


def main() -> None:
    """Make the pictures one after the other and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=64.0)
    parser.add_argument("--only", help="formats, for example JPEG,PNG")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(read(options.read))
        return
    side = math.isqrt(round(options.megapixels * 1e6))
    for kind, mode, save in PICTURES:
        if options.only and kind not in options.only.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film"
            label = " ".join([kind, mode, *(f"{name}={value}" for name, value in save.items())])
            try:
                path.write_bytes(noise(kind, mode, side, save))
            except ValueError as error:  # WebP has a limit of its own
                print(f"{label:44s} cannot be written: {error}", flush=True)
                continue
            done = subprocess.run([sys.executable, __file__, "--read", path], capture_output=True, text=True)
            outcome = done.stdout.strip() or f"died with status {done.returncode}: {done.stderr.strip()[-200:]}"
            print(f"{label:44s} {path.stat().st_size / 1e6:6.1f} MB  {outcome}", flush=True)


def noise(kind: str, mode: str, side: int, save: dict[str, object]) -> bytes:
    """A file of noise above and stripes below, so that the file stays within the limit of bytes."""
    Image.MAX_IMAGE_PIXELS = None
    channels = {"L": 1, "1": 1, "P": 1, "I;16": 2, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    values = np.empty((side, side, channels), np.uint8)
    values[:] = (np.arange(side) % 200).astype(np.uint8)[:, np.newaxis, np.newaxis]
    rows = min(side, NOISE_BYTES // (side * channels))
    values[:rows] = np.random.default_rng(0).integers(0, 200, (rows, side, channels), dtype=np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(values.view(np.uint16)[..., 0])
    elif mode in ("1", "P"):
        picture = Image.fromarray(values[..., 0]).convert(mode)
    else:
        picture = Image.fromarray(values.squeeze(), mode)
    stream = io.BytesIO()
    picture.save(stream, kind, **save)
    return stream.getvalue()


def read(path: Path) -> str:
    """CPU seconds and peak memory of reading a file in this process, in words."""
    started = time.process_time()
    try:
        image.read(path)
        outcome = ""
    except InputError as error:
        outcome = f"  {error.code}: {error.message}"
    seconds = time.process_time() - started
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return f"{seconds:5.2f} s CPU  {int(peak.split()[1]) / 1e6:5.2f} GB{outcome}"


if __name__ == "__main__":
    main()
