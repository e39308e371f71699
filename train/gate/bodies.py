"""Radiographs of other parts of the body, drawn by chance: there are no real ones to fit on but a few chest films."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gate.drawn import smooth

Film = NDArray[np.float64]
"""float64 [h, w], 0 to about 255, brighter meaning denser."""


def torso(random: Generator, height: int, width: int) -> Film:
    """A chest: two dark lungs beside a bright middle, ribs, collarbones, heart, diaphragm; whole, or a part of it."""
    y, x = _grid(height, width)
    page = _body(random, x, y, 0.95, 0.6)
    depth = random.uniform(0.45, 0.85)
    for side in (-1, 1):
        centre, reach = side * random.uniform(0.38, 0.5), random.uniform(0.26, 0.38)
        top, bottom = random.uniform(-0.85, -0.65), random.uniform(0.25, 0.7)
        middle, half = (top + bottom) / 2, (bottom - top) / 2
        shape = np.abs((x - centre) / reach) ** 2.4 + np.abs((y - middle) / half) ** random.uniform(2.2, 5)
        dome = y < bottom - 0.5 * ((x - centre) / reach) ** 2 * random.uniform(0.1, 0.4)
        page *= 1 - depth * _soft((shape < 1) & dome, random.uniform(2, 7))
    page = np.maximum(page, 0) + _bar(x, 0, random.uniform(0.06, 0.14)) * random.uniform(15, 80)
    heart = np.hypot((x - random.uniform(0, 0.2)) / random.uniform(0.22, 0.36), (y - random.uniform(0.1, 0.4)) / 0.38)
    page += _soft(heart < 1, 8) * random.uniform(10, 90)
    for number in range(int(random.integers(7, 12))):
        level, drop = -0.85 + number * random.uniform(0.14, 0.19), random.uniform(0.15, 0.5)
        for side in (-1, 1):
            place = level + drop * np.abs(x) ** random.uniform(1, 2) * random.choice([1, 1, -0.4])
            page += _bar(y - place, 0, random.uniform(0.018, 0.04)) * (x * side > 0.08) * random.uniform(6, 45)
    if random.random() < 0.7:
        for side in (-1, 1):
            page += _bar(y + 0.72 - 0.2 * (x * side - 0.5), 0, 0.03) * ((x * side > 0.08) & (x * side < 0.9)) * 40
    return _finished(random, page, height, width)


def pelvis(random: Generator, height: int, width: int) -> Film:
    """Two hips: heads in their sockets, wings, the sacrum, and the upper thighs."""
    y, x = _grid(height, width)
    page = _body(random, x, y, 1.05, 0.45)
    for side in (-1, 1):
        wing = np.hypot((x - side * 0.45) / 0.36, (y + 0.4) / random.uniform(0.3, 0.45))
        page += _soft(wing < 1, 3) * random.uniform(20, 60) + _soft(np.abs(wing - 1) < 0.08, 2) * 40
        hip = (side * random.uniform(0.42, 0.55), random.uniform(0, 0.15))
        head = np.hypot(x - hip[0], (y - hip[1]) * height / width)
        page += _soft(head < 0.15, 2) * random.uniform(50, 110) + _soft(np.abs(head - 0.19) < 0.02, 1.5) * 60
        shaft = _bar(x - hip[0] - side * 0.22 + side * 0.12 * (y - 0.3), 0, 0.08) * (y > hip[1] + 0.15)
        page += shaft * random.uniform(60, 120)
        ring = np.hypot((x - side * 0.18) / 0.13, (y - 0.45) / 0.16)
        page += _soft(np.abs(ring - 1) < 0.3, 2) * random.uniform(30, 70)
    page += _bar(x, 0, random.uniform(0.1, 0.2)) * (y < 0.05) * random.uniform(30, 80)
    return _finished(random, page, height, width)


def hand(random: Generator, height: int, width: int) -> Film:
    """Fingers in segments over a palm and a wrist; or a foot, which looks much the same at this size."""
    y, x = _grid(height, width)
    page = np.full((height, width), random.uniform(0, 15))
    root = np.array([0.0, random.uniform(0.15, 0.35)])
    for number in range(5):
        angle = np.radians((number - 2) * random.uniform(9, 20) + random.normal(0, 3))
        direction = np.array([np.sin(angle), -np.cos(angle)])
        start, wide = root + direction * 0.1, random.uniform(0.05, 0.08)
        for long in np.array([0.4, 0.24, 0.16, 0.11]) * random.uniform(0.8, 1.15):
            end = start + direction * long
            page = np.maximum(page, _capsule(x, y, start, end, wide * 1.9) * random.uniform(40, 75))
            page = np.maximum(page, _capsule(x, y, start, end, wide) * random.uniform(120, 230))
            start, wide = end + direction * 0.025, wide * 0.86
    for side in (-0.13, 0.12):
        forearm = _capsule(x, y, root + np.array([side, 0.25]), root + np.array([side, 1.2]), 0.11)
        page = np.maximum(page, forearm * random.uniform(120, 230))
    for _ in range(8):
        bone = root + random.uniform(-0.22, 0.22, 2) * np.array([1, 0.6]) + np.array([0, 0.08])
        page = np.maximum(page, _capsule(x, y, bone, bone + 0.01, random.uniform(0.06, 0.1)) * random.uniform(110, 220))
    return _finished(random, page, height, width)


def skull(random: Generator, height: int, width: int) -> Film:
    """A bright rim, sockets of the eyes, nose and jaw."""
    y, x = _grid(height, width)
    head = np.hypot(x / random.uniform(0.6, 0.8), (y + 0.1) / random.uniform(0.7, 0.85))
    page = _soft(head < 1, 4) * random.uniform(70, 150) + _soft(np.abs(head - 0.96) < 0.05, 2) * random.uniform(40, 90)
    for side in (-1, 1):
        eye = np.hypot((x - side * 0.25) / 0.17, (y - 0.05) / 0.14)
        page -= _soft(eye < 1, 3) * random.uniform(20, 70)
        page += _soft(np.abs(eye - 1) < 0.15, 2) * random.uniform(20, 60)
    page -= _soft(np.hypot(x / 0.1, (y - 0.25) / 0.16) < 1, 3) * random.uniform(20, 70)
    for row in (0.5, 0.58):
        page += _bar(y - row - 0.3 * x**2, 0, 0.03) * (np.abs(x) < 0.28) * random.uniform(30, 90)
    page += _bar(x, 0, 0.14) * (y > 0.7) * random.uniform(40, 90)
    return _finished(random, page, height, width)


def _grid(height: int, width: int) -> tuple[Film, Film]:
    """Down and across, each from -1 to 1."""
    y, x = np.mgrid[0:height, 0:width]
    return y / (height - 1) * 2 - 1, x / (width - 1) * 2 - 1


def _body(random: Generator, x: Film, y: Film, wide: float, waist: float) -> Film:
    """Soft tissue that fills most of the picture's width."""
    half = wide * random.uniform(0.85, 1.3) - 0.15 * np.exp(-(((y - waist) / 0.4) ** 2))
    return np.clip(1 - (np.abs(x) / half) ** 6, 0, 1) ** 0.5 * random.uniform(90, 200)


def _bar(values: Film, place: float, half: float) -> Film:
    """1 at a place, falling to 0 at a distance."""
    return np.clip(1 - ((values - place) / half) ** 2, 0, 1)


def _capsule(x: Film, y: Film, start: Film, end: Film, half: float) -> Film:
    """A cylinder between two points, seen through: narrower in its middle, as long bones are."""
    along = end - start
    length = max(float(along @ along), 1e-6)
    share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1)
    reach = half * (0.75 + 0.25 * np.abs(2 * share - 1) ** 2)
    squared = (x - start[0] - share * along[0]) ** 2 + (y - start[1] - share * along[1]) ** 2
    return np.clip(1 - squared / reach**2, 0, 1) ** 0.4


def _soft(mask: NDArray[np.bool_], blur: float) -> Film:
    return cv2.GaussianBlur(mask.astype(np.float64), (0, 0), blur)


def _finished(random: Generator, page: Film, height: int, width: int) -> Film:
    """Texture and grain; sometimes a part of the picture, moved or turned a little."""
    page = page * (1 + smooth(random, height, width, random.uniform(3, 12)) * random.uniform(0.01, 0.08))
    if random.random() < 0.6:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), random.normal(0, 6), random.uniform(0.9, 1.7))
        matrix[:, 2] += random.normal(0, 0.1, 2) * [width, height]
        page = cv2.warpAffine(page, matrix, (width, height))
    page = 255 * np.clip(page / max(float(np.quantile(page, 0.99)), 1), 0, 1.1) ** random.uniform(0.6, 1.5)
    return page * random.uniform(0.7, 1) + random.normal(0, random.uniform(0, 6), page.shape)


KINDS = {"torso": torso, "pelvis": pelvis, "hand": hand, "skull": skull}
