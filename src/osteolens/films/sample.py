"""Draws knees that look like films and are nobody's: the sample film, and those in the pictures of the app."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.files import whole

HEIGHT, WIDTH = 1280, 1024
COMMENT = "drawn by osteolens sample; nobody's knee"


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
    return np.asarray(np.rint(grey * 255), np.uint8)


def write_sample(path: Path, seed: int = 0) -> None:
    """Write a drawn film as a JPEG: `samples/knee.jpg` for seed 0.

    Args:
        path: The file; its folder is made.
        seed: Another knee for each number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        Image.fromarray(drawn_knee(HEIGHT, WIDTH, seed)).save(draft, "JPEG", quality=90, comment=COMMENT)
