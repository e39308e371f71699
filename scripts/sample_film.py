"""Draws knees that look like films and are nobody's: the sample film, and those in the pictures of the app.

Run it as:

    .venv/bin/python scripts/sample_film.py --out samples/knee.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 1280, 1024


def drawn_knee(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A drawing of a knee in antero-posterior projection: uint8 [height, width], another one for each seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    x = x + random.uniform(-0.03, 0.03)
    gap = random.uniform(0.46, 0.52)

    def bone(middle: float, top: float, bottom: float, half_width: float) -> NDArray[np.float64]:
        flare = 1 + np.exp(-(((y - bottom) / 0.12) ** 2)) + np.exp(-(((y - top) / 0.12) ** 2))
        across = np.abs(x - middle - 0.02 * np.sin(3 * y)) / (half_width * flare)
        ends = 1 / (1 + np.exp(-(y - top) * 90)) / (1 + np.exp((y - bottom) * 90))
        solid: NDArray[np.float64] = np.clip(1.3 - across, 0, 1) * ends * (0.65 + 0.35 * np.clip(across, 0, 1))
        return solid

    bones = np.maximum(bone(0.5, -0.3, gap - 0.015, 0.13), bone(0.5, gap + 0.02, 1.3, 0.12))
    bones = np.maximum(bones, 0.7 * bone(0.74, gap + 0.08, 1.4, 0.035))
    kneecap = 0.2 * np.exp(-((((x - 0.5) / 0.11) ** 2 + ((y - gap + 0.11) / 0.085) ** 2) ** 2))
    flesh = 0.22 * np.exp(-(((x - 0.5) / 0.36) ** 4))
    coarse = Image.fromarray(random.normal(0, 0.02, (height // 4, width // 4)).astype(np.float32))
    texture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) * (bones + 0.3)
    grain = random.normal(0, 0.012, (height, width))
    grey = np.clip(0.03 + flesh + 0.62 * bones + kneecap + texture + grain, 0, 1) ** 0.9
    return np.rint(grey * 255).astype(np.uint8)


def main() -> None:
    """Draw one film and write it as a JPEG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("samples/knee.jpg"))
    parser.add_argument("--seed", type=int, default=0, help="another knee for each number")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    comment = "drawn by scripts/sample_film.py; nobody's knee"
    Image.fromarray(drawn_knee(HEIGHT, WIDTH, arguments.seed)).save(arguments.out, quality=90, comment=comment)


if __name__ == "__main__":
    main()
