"""Whether two pictures show the same thing: one is laid on the other and compared pixel by pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.audit.index import mirrored, unit
from osteolens.audit.pictures import Seen

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

_MATCH_DISTANCE = 0.5
_PIXELS = 3.0
"""How far a matched feature may lie from where the transform puts it."""
_MIN_MATCHES = 6
_SCALES = (1 / 8, 8.0)
_STRETCH = 2.6
"""A 1248 x 1024 film squeezed into 128 x 256 is stretched by 2.44."""
_AROUND, _FLOOR = (21, 21), 2.0
_MIN_AREA = 400
"""Pixels with texture that both must share."""


@dataclass(frozen=True)
class Overlap:
    """Placement of one picture on another.

    Attributes:
        transform: float64 [2, 3], pixels of the first `small` to pixels of the second.
        inliers: Features that agree with it.
        similarity: Correlation, -1 to 1, of the fine structure where both have any.
    """

    transform: NDArray[np.float64]
    inliers: int
    similarity: float


def lay(first: Seen, second: Seen, mirror: bool) -> Overlap | None:
    """Fit the first picture, or its mirror image, onto the second; None where the features allow no fit."""
    matched = _matched(first, second, mirror)
    if len(matched[0]) < _MIN_MATCHES:
        return None
    cv2.setRNGSeed(0)  # RANSAC draws from OpenCV's own generator: without a seed an audit differs from run to run
    fitted, agrees = cv2.estimateAffine2D(
        *matched, method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=1000, confidence=0.999
    )
    if fitted is None:
        return None
    transform = np.asarray(fitted, np.float64)
    if not _plausible(transform, mirror):
        return None
    return Overlap(transform, int(agrees.sum()), similarity(first.small, second.small, transform))


def similarity(first: NDArray[np.uint8], second: NDArray[np.uint8], transform: NDArray[np.float64]) -> float:
    """Correlation of the fine structure of two pictures where both have any; 0 where they share too little.

    Compared at the coarser one's resolution. Local contrast is equalised first, so that another window, gamma or
    CLAHE does little harm; plain areas (black ground, white bars) are left out.

    Args:
        first: uint8 [h, w].
        second: uint8 [H, W].
        transform: [2, 3], pixels of the first to pixels of the second.
    """
    shrink = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    if shrink > 1:
        return similarity(second, first, np.asarray(cv2.invertAffineTransform(transform), np.float64))
    height, width = second.shape
    # warpAffine looks at the nearest pixels only; where it shrinks, finer detail would alias.
    smooth = cv2.GaussianBlur(first, (0, 0), 0.5 / shrink) if shrink < 0.7 else first
    moved = np.asarray(cv2.warpAffine(smooth, transform, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    mask = cv2.warpAffine(_textured(first), transform, (width, height), flags=cv2.INTER_NEAREST)
    # The frame of the moved picture is an edge that the other one does not have.
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=0)
    both = (inside > 0) & (_textured(second) > 0)
    if both.sum() < _MIN_AREA:
        return 0.0
    return _correlation(structure(moved)[both], structure(second)[both])


def structure(picture: NDArray[np.uint8]) -> Floats:
    """Detail of about 1 to 6 pixels, divided by its local strength: float32 [h, w]."""
    values = picture.astype(np.float32)
    detail = cv2.GaussianBlur(values, (0, 0), 1) - cv2.blur(values, _AROUND)
    return np.asarray(detail / (np.sqrt(np.maximum(cv2.blur(detail * detail, _AROUND), 0)) + _FLOOR), np.float32)


def _textured(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where the variance within 7 x 7 pixels is above 1 grey level squared, else 0."""
    values = picture.astype(np.float32)
    mean = cv2.blur(values, (7, 7))
    return np.asarray(cv2.blur(values * values, (7, 7)) - mean * mean > 1, np.uint8)


def _correlation(first: Floats, second: Floats) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / max(np.sqrt((first * first).sum() * (second * second).sum()), 1e-6))


def _matched(first: Seen, second: Seen, mirror: bool) -> tuple[Floats, Floats]:
    """Positions of features that are each other's nearest, float32 [M, 2] in each picture's pixels."""
    if not len(first.points) or not len(second.points):
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    descriptors = unit(first.descriptors)
    cosine = (mirrored(descriptors) if mirror else descriptors) @ unit(second.descriptors).T
    best = cosine.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = (cosine.argmax(axis=0)[best] == rows) & (cosine[rows, best] > 1 - _MATCH_DISTANCE**2 / 2)
    return first.points[mutual, :2], second.points[best[mutual], :2]


def _plausible(transform: NDArray[np.float64], mirror: bool) -> bool:
    """Whether it stretches no more than a squeezed copy is, and mirrors if and only if the features were mirrored."""
    longest, shortest = np.linalg.svd(transform[:, :2], compute_uv=False)
    scale = float(np.sqrt(longest * shortest))
    turned_over = bool(np.linalg.det(transform[:, :2]) < 0)
    return _SCALES[0] < scale < _SCALES[1] and bool(longest < _STRETCH * shortest) and turned_over == mirror
