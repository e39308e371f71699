"""Prostheses, plates, nails and screws, imitated: bright shapes with sharp edges on a film of a knee."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]


def implant(random: Generator, picture: Picture) -> Picture:
    """The film with a random implant where bone is."""
    height, width = picture.shape
    x, y, size = _place(random, picture)
    mask = np.zeros((height, width), np.uint8)
    for draw in _CHOICES[int(random.integers(len(_CHOICES)))]:
        draw(random, mask, x, y, size)
    if random.random() < 0.5:
        mask = mask[:, ::-1] if abs(x - width / 2) < width / 10 else mask
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), random.uniform(0.4, 1.2))[..., None][..., 0] / 255
    level = random.uniform(225, 255) + random.normal(0, random.uniform(0, 6), (height, width))
    dimmed = picture * random.uniform(0.6, 1.0)  # metal takes the range, and bone beside it looks darker
    return np.clip(dimmed * (1 - soft) + level * soft, 0, 255).astype(np.uint8)


def _place(random: Generator, picture: Picture) -> tuple[float, float, float]:
    """A point in bright tissue, and the width of what is there, in pixels."""
    height, width = picture.shape
    small = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), max(height, width) / 40)
    band = small[int(height * 0.25) : int(height * 0.75)]
    columns = band.mean(axis=0)
    bright = np.flatnonzero(columns > np.quantile(columns, 0.75))
    x = float(random.choice(bright))
    near = columns > 0.6 * columns[int(x)]
    left, right = int(x), int(x)
    while left > 0 and near[left - 1]:
        left -= 1
    while right < width - 1 and near[right + 1]:
        right += 1
    size = float(np.clip(right - left, width / 8, width))
    return (left + right) / 2 + random.normal(0, size / 12), random.uniform(0.3, 0.7) * height, size * 0.8


def _fill(mask: Picture, points: Points, x: float, y: float) -> None:
    """Fill a polygon whose corners are measured from (x, y)."""
    cv2.fillPoly(mask, [np.round(points + np.array([x, y])).astype(np.int32)], 255, cv2.LINE_AA)


def femoral(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """The cap over both condyles, with the notch between them."""
    w, h = size * random.uniform(0.35, 0.5), size * random.uniform(0.3, 0.6)
    angles = np.linspace(np.pi, 2 * np.pi, 14)
    top = np.stack([np.cos(angles) * w * random.uniform(0.6, 1), np.sin(angles) * h], axis=1)
    notch = random.uniform(0.1, 0.5) * h
    bottom = np.array(
        [
            [w, 0.1 * h],
            [w * 0.7, 0.3 * h],
            [w * 0.3, 0.3 * h],
            [0.15 * w, 0.3 * h - notch],
            [-0.15 * w, 0.3 * h - notch],
            [-w * 0.3, 0.3 * h],
            [-w * 0.7, 0.3 * h],
            [-w, 0.1 * h],
        ]
    )
    _fill(mask, np.concatenate([top, bottom]), x, y - 0.3 * h)
    if random.random() < 0.3:
        rod(random, mask, x, y - h, size)


def tibial(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """The tray on the tibia, with a stem or pegs."""
    w, thick = size * random.uniform(0.35, 0.5), size * random.uniform(0.04, 0.1)
    gap = size * random.uniform(0.05, 0.12)
    tray = np.array([[-w, 0], [w, 0], [w, thick], [-w, thick]])
    _fill(mask, tray, x, y + gap)
    stem, long = w * random.uniform(0.12, 0.35), size * random.uniform(0.3, 1.2)
    for place in (0.0,) if random.random() < 0.7 else (-0.5, 0.5):
        shaft = np.array([[-stem, 0], [stem, 0], [stem * 0.4, long], [-stem * 0.4, long]])
        _fill(mask, shaft, x + place * w, y + gap)


def half(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """A prosthesis of one compartment: a shell with a peg above, a small tray below."""
    w, side = size * random.uniform(0.15, 0.25), random.choice([-1, 1]) * size * 0.25
    angles = np.linspace(0.9 * np.pi, 2.1 * np.pi, 12)
    shell = np.stack([np.cos(angles) * w, np.sin(angles) * w * random.uniform(0.6, 1.6)], axis=1)
    _fill(mask, shell, x + side, y)
    peg = np.array([[-w / 5, 0], [w / 5, 0], [w / 5, -w * 1.6], [-w / 5, -w * 1.6]])
    _fill(mask, peg, x + side, y)
    tray = np.array([[-w, 0], [w, 0], [w, w / 3], [-w, w / 3]])
    _fill(mask, tray, x + side, y + size * 0.08)


def rod(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """A nail along the shaft, up or down."""
    wide, long = size * random.uniform(0.05, 0.12), random.choice([-1, 1]) * size * random.uniform(0.8, 2.5)
    slant = random.normal(0, 0.06) * long
    _fill(mask, np.array([[-wide, 0], [wide, 0], [wide + slant, long], [-wide + slant, long]]), x, y)
    screws(random, mask, x, y + long * 0.8, size)


def plate(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """A plate beside the bone with screws through it."""
    wide, long = size * random.uniform(0.03, 0.08), random.choice([-1, 1]) * size * random.uniform(0.7, 2)
    side = random.choice([-1, 1]) * size * random.uniform(0.2, 0.4)
    _fill(mask, np.array([[-wide, 0], [wide, 0], [wide, long], [-wide, long]]), x + side, y)
    for share in np.linspace(0.1, 0.95, int(random.integers(3, 8))):
        thick = max(1, int(size * 0.025))
        start = (int(x + side), int(y + long * share))
        end = (int(x + side - np.sign(side) * size * random.uniform(0.3, 0.6)), int(start[1] + random.normal(0, 4)))
        cv2.line(mask, start, end, 255, thick, cv2.LINE_AA)


def screws(random: Generator, mask: Picture, x: float, y: float, size: float) -> None:
    """One to four screws with their heads."""
    for _ in range(int(random.integers(1, 5))):
        angle, long = random.normal(0, 0.4) + random.choice([0, np.pi]), size * random.uniform(0.25, 0.6)
        start = np.array([x + random.normal(0, size * 0.15), y + random.normal(0, size * 0.2)])
        end = start + long * np.array([np.cos(angle), np.sin(angle)])
        thick = max(1, int(size * random.uniform(0.02, 0.05)))
        cv2.line(mask, tuple(start.astype(int).tolist()), tuple(end.astype(int).tolist()), 255, thick, cv2.LINE_AA)
        cv2.circle(mask, tuple(start.astype(int).tolist()), int(thick * 1.2) + 1, 255, -1)


_CHOICES = (
    (femoral, tibial), (femoral, tibial), (femoral, tibial), (femoral,), (tibial,), (half,), (half,), (rod,), (plate,),
    (screws,), (femoral, tibial, screws),
)  # fmt: skip
