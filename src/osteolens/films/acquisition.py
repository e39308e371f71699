"""How a film was taken and stored: the picture without its bone, which may tell a label all the same.

Borders and air, brightness and contrast, sharpness and noise, size, legs and their place, markers beside them. A model
that answers no better than a regression on these numbers is not shown to see bone.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.films.prepare import content_box

Grey = NDArray[np.uint8]
Flags = NDArray[np.bool_]

NAMES = (
    "size", "shape", "border_top", "border_bottom", "border_left", "border_right", "air", "air_level", "brightness",
    "contrast", "black", "white", "legs", "body_width", "centre_x", "centre_y", "markers", "marker_area", "edge_spread",
    "air_noise", "body_noise", "fine_power",
)  # fmt: skip
"""What `measure` gives, in this order.

size: log10 of the number of pixels; shape: log2 of width over height; border_*: share of the height or width that is
empty; air: share of the film beside the body; air_level: its mean grey; brightness, contrast: mean and standard
deviation of the body's grey; black, white: share of pixels at either end; legs: their number by the columns that the
body covers; body_width, centre_x, centre_y: columns with body, and its centre of mass, as shares; markers, marker_area:
small bright things beside the body, their number and share of the film; edge_spread: pixels over which the steepest
edges rise; air_noise, body_noise: mean detail at the finest scale; fine_power: logarithm of its power over that of the
next scale.
"""
_SIDE = 384
"""Longer side, in pixels, of the picture on which body, legs and markers are looked for."""
_WINDOW = 768
"""Side, in pixels, of the part in the middle in which sharpness and noise are measured at the film's own scale."""
_BLACK, _WHITE = 5, 250
_LARGEST_MARKER = 0.02
_REACH = 9
"""Pixels around a steep edge within which its whole rise is looked for."""
_STEEPEST = 0.995
_LARGEST_NOISE = 8.0
"""A larger detail is an edge, and counts as this much."""


def measure(pixels: Grey) -> tuple[float, ...]:
    """Measure a film.

    Args:
        pixels: uint8 [H, W], as `osteolens.films.read.read` gives it.

    Returns:
        A finite number for each of `NAMES`.
    """
    height, width = pixels.shape
    top, left, inner_height, inner_width = content_box(pixels)
    small = _shrunk(pixels)
    level, body, markers = _parts(small)
    return tuple(
        float(value)
        for value in (
            math.log10(height * width), math.log2(width / height),
            top / height, 1 - (top + inner_height) / height, left / width, 1 - (left + inner_width) / width,
            1 - body.mean(), *_mean_and_spread(small[~body])[:1], *_mean_and_spread(small[body]),
            (small <= _BLACK).mean(), (small >= _WHITE).mean(),
            _legs(body), body.any(axis=0).mean(), *_centre(body), *markers, *_sharpness(_middle(pixels), level),
        )
    )  # fmt: skip


def _shrunk(pixels: Grey) -> Grey:
    scale = _SIDE / max(pixels.shape)
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _middle(pixels: Grey) -> Grey:
    top, left = (max(0, (length - _WINDOW) // 2) for length in pixels.shape)
    return pixels[top : top + _WINDOW, left : left + _WINDOW]


def _parts(small: Grey) -> tuple[float, Flags, tuple[int, float]]:
    """Grey level between air and body, the body bool [h, w], and the number of markers with their share of the film."""
    smooth = cv2.GaussianBlur(small, (5, 5), 0)
    # Half of Otsu's level: his own may lie between soft tissue and bone.
    level = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0] / 2
    above = (smooth > level).astype(np.uint8)
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    areas = boxes[:, cv2.CC_STAT_AREA] / small.size
    marks = areas < _LARGEST_MARKER
    marks[0] = False  # the air
    return level, np.asarray((above == 1) & ~marks[parts]), (int(marks.sum()), float(areas[marks].sum()))


def _mean_and_spread(values: Grey) -> tuple[float, float]:
    return (float(values.mean()), float(values.std())) if values.size else (0.0, 0.0)


def _legs(body: Flags) -> int:
    """Number of runs of columns, each wider than a twentieth of the film, that the body covers by half of the most."""
    share = np.asarray(body.mean(axis=0), np.float64)
    covered = np.concatenate([[False], share > share.max() / 2, [False]])
    edges = np.flatnonzero(covered[1:] != covered[:-1])
    return int((np.diff(edges)[::2] > body.shape[1] / 20).sum())


def _centre(body: Flags) -> tuple[float, float]:
    """Centre of mass from the left and from the top, as shares; the middle where there is no body."""
    if not body.any():
        return 0.5, 0.5
    rows, columns = np.nonzero(body)
    return (columns.mean() + 0.5) / body.shape[1], (rows.mean() + 0.5) / body.shape[0]


def _sharpness(window: Grey, level: float) -> tuple[float, float, float, float]:
    """Edge spread, noise of air and body at the finest scale, and log of its power over that of the next scale."""
    detail, mean = _haar(window.astype(np.float32))
    coarse, _ = _haar(mean)
    body = mean > level
    power = [float(np.mean(np.square(each))) if each.size else 0.0 for each in (detail, coarse)]
    return (
        _edge_spread(window),
        _noise(detail[~body]),
        _noise(detail[body]),
        math.log((power[0] + 1e-3) / (power[1] + 1e-3)),
    )


def _haar(grey: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Diagonal detail and mean of blocks of 2 x 2 pixels, both float32 [h / 2, w / 2] (Haar's wavelet)."""
    height, width = (length // 2 * 2 for length in grey.shape)
    a, b, c, d = (grey[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    detail, mean = (a - b - c + d) / 2, (a + b + c + d) / 4
    return detail.astype(np.float32), mean.astype(np.float32)


def _noise(detail: NDArray[np.float32]) -> float:
    """Mean detail, which unlike a median does not fall to 0 where most blocks of an 8-bit film are flat."""
    return float(np.mean(np.minimum(np.abs(detail), _LARGEST_NOISE))) if detail.size else 0.0


def _edge_spread(window: Grey) -> float:
    """Pixels over which the steepest edges rise: the range of grey around them over their slope, the median."""
    across, down = (cv2.Sobel(window, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    slope = cv2.magnitude(across, down)
    steep = slope >= max(1.0, float(np.quantile(slope[::4, ::4], _STEEPEST)))
    if not steep.any():
        return 0.0
    around = np.ones((_REACH, _REACH), np.uint8)
    rise = cv2.dilate(window, around)[steep] - cv2.erode(window, around)[steep]
    return float(np.median(rise / slope[steep]))
