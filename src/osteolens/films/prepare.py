"""The only preprocessing: a grey film and the card's parameters -> the bytes that every model takes.

Training, evaluation, export, the handler and calibration all call `prepare`. What comes after it (cast,
scaling, mean and standard deviation, grey to three channels) lives inside the model as buffers.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.card import PreprocessSpec

DARK_BELOW, BRIGHT_FROM = 64, 240
"""A border is empty film (dark) or blank paper (bright); anything between may be tissue."""
EMPTY_TOLERANCE = 10
EMPTY_SHARE = 0.96
"""A line is empty when this share of it is at the border's level: a marker does not make it a picture."""
STRIP = 64
"""Lines in a strip, which are examined together."""
MIN_KEPT = 0.25
"""No side is cropped to less than this share of the film."""


@dataclass(frozen=True)
class Geometry:
    """Placement of a film in the model's input: film -> crop box -> scaled -> placed in the input. All in pixels.

    Attributes:
        film: (height, width) of the film.
        crop: (top, left, height, width) of the part kept, in film pixels.
        scaled: (height, width) of that part after scaling.
        offset: (top, left) of the scaled part inside the input.
        input: (height, width) of the input.
        mirrored: Whether the input is mirrored, left to right.
        turn: Degrees clockwise by which the film lay turned: `crop` is on the film turned back, `film` as it lay.
    """

    film: tuple[int, int]
    crop: tuple[int, int, int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]
    input: tuple[int, int]
    mirrored: bool = False
    turn: int = 0

    def to_film(self, values: NDArray[np.float32], size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Lay a map over the model's input back on the film.

        Args:
            values: float32 [h, w] of any size that covers the whole input, such as a feature map.
            size: (height, width) to draw the whole film at; default the film's own size.

        Returns:
            float32 [height, width] that covers the film edge to edge; 0 where the film was cropped away.
        """
        if self.turn:
            quarter = self.turn % 180 != 0
            height, width = size or self.film
            upright = replace(self, film=self.film[::-1] if quarter else self.film, turn=0)
            turned_back = upright.to_film(values, (width, height) if quarter else (height, width))
            return np.rot90(turned_back, -(self.turn // 90))
        values = values[:, ::-1] if self.mirrored else values
        height, width = size or self.film
        down, across = values.shape[0] / self.input[0], values.shape[1] / self.input[1]
        (top, left), (inner_h, inner_w) = self.offset, self.scaled
        box = (left * across, top * down, (left + inner_w) * across, (top + inner_h) * down)
        crop_top, crop_left, crop_h, crop_w = self.crop
        y0, y1 = (round(edge * height / self.film[0]) for edge in (crop_top, crop_top + crop_h))
        x0, x1 = (round(edge * width / self.film[1]) for edge in (crop_left, crop_left + crop_w))
        target = (max(x1 - x0, 1), max(y1 - y0, 1))
        rows = _bilinear(values.shape[0], box[1], box[3], target[1])
        columns = _bilinear(values.shape[1], box[0], box[2], target[0])
        film = np.zeros((height, width), np.float32)
        film[y0:y1, x0:x1] = (rows @ values @ columns.T)[: y1 - y0, : x1 - x0]
        return film


@lru_cache(maxsize=64)
def _bilinear(size: int, start: float, end: float, target: int) -> NDArray[np.float32]:
    """Weights of Pillow's bilinear filter along an axis: float32 [target, size].

    Two products with such matrices draw a map in a fraction of Pillow's time, which forms each pixel by itself.

    Args:
        size: Values along the axis.
        start: Where the drawn part of them starts, as a coordinate in which each value is 1 wide.
        end: Where it ends.
        target: Pixels that the part becomes.
    """
    scale = (end - start) / target
    reach = max(scale, 1.0)  # it widens with a reduction, so that nothing is left out
    centres = start + (np.arange(target) + 0.5) * scale
    distances = np.abs(np.arange(size) + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1 - distances, 0)
    normalised: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


@dataclass(frozen=True)
class Prepared:
    """The input of a model.

    Attributes:
        array: uint8 [1, H, W].
        geometry: The way back to the film.
    """

    array: NDArray[np.uint8]
    geometry: Geometry


def prepare(pixels: NDArray[np.uint8], spec: PreprocessSpec, *, mirrored: bool = False) -> Prepared:
    """Crop empty borders, keep the centre, scale with the aspect ratio kept, and pad with black to the input size.

    Args:
        pixels: uint8 [H, W] as `osteolens.films.read.read` gives it.
        spec: Parameters from the model's card.
        mirrored: Mirror the input, left to right.
    """
    box = content_box(pixels) if spec.crop_borders else (0, 0, *pixels.shape)
    return cut(pixels, box, spec, mirrored=mirrored)


def cut(
    pixels: NDArray[np.uint8], box: tuple[int, int, int, int], spec: PreprocessSpec, *, mirrored: bool = False
) -> Prepared:
    """Keep the centre of a box, scale it with the aspect ratio kept, and pad with black to the input size.

    Args:
        pixels: uint8 [H, W].
        box: (top, left, height, width) in pixels; black where it reaches beyond the film.
        spec: Parameters from the model's card.
        mirrored: Mirror the input, left to right.
    """
    height, width = pixels.shape
    top, left, box_h, box_w = _centre(box, spec)
    scale = min(spec.height / box_h, spec.width / box_w)
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + box_h, height), min(left + box_w, width)
    offset_y = (spec.height - max(1, round(box_h * scale))) // 2 + round((y0 - top) * scale)
    offset_x = (spec.width - max(1, round(box_w * scale))) // 2 + round((x0 - left) * scale)
    scaled_h = min(max(1, round((y1 - y0) * scale)), spec.height - offset_y)
    scaled_w = min(max(1, round((x1 - x0) * scale)), spec.width - offset_x)
    # Pillow's bilinear filter widens with the reduction, so it does not alias, and works in integers: the
    # same bytes come out on every machine.
    image = Image.fromarray(pixels[y0:y1, x0:x1])
    array = np.zeros((1, spec.height, spec.width), np.uint8)
    array[0, offset_y : offset_y + scaled_h, offset_x : offset_x + scaled_w] = np.asarray(
        image.resize((scaled_w, scaled_h), Image.Resampling.BILINEAR)
    )
    geometry = Geometry(
        film=(height, width),
        crop=(y0, x0, y1 - y0, x1 - x0),
        scaled=(scaled_h, scaled_w),
        offset=(offset_y, offset_x),
        input=(spec.height, spec.width),
        mirrored=mirrored,
    )
    return Prepared(np.ascontiguousarray(array[:, :, ::-1]) if mirrored else array, geometry)


def _centre(box: tuple[int, int, int, int], spec: PreprocessSpec) -> tuple[int, int, int, int]:
    """The middle of a box (top, left, height, width), as much of it as the card keeps."""
    top, left, height, width = box
    kept_h, kept_w = max(1, round(height * spec.centre_height)), max(1, round(width * spec.centre_width))
    return top + (height - kept_h) // 2, left + (width - kept_w) // 2, kept_h, kept_w


def content_box(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The film without its empty borders: (top, left, height, width).

    Lines are taken off each side while they are empty: nearly all of their pixels lie at the level of the
    outermost remaining line, and that level is dark or bright. Frames within frames are all taken off.
    """
    top, left, bottom, right = 0, 0, *pixels.shape
    while True:
        before = (top, left, bottom, right)
        for axis in (0, 1):
            lead, trail = _empty_lines(pixels[top:bottom, left:right], axis)
            if axis == 0:
                top, bottom = top + lead, bottom - trail
            else:
                left, right = left + lead, right - trail
        if (top, left, bottom, right) == before:
            break
    height, width = pixels.shape
    if bottom - top < MIN_KEPT * height or right - left < MIN_KEPT * width:
        return 0, 0, height, width  # hardly anything is left: not a border, keep the film as it is
    return top, left, bottom - top, right - left


def _empty_lines(pixels: NDArray[np.uint8], axis: int) -> tuple[int, int]:
    """How many rows (axis 0) or columns (axis 1) are empty at the start and at the end."""
    if pixels.size == 0:
        return 0, 0
    first, last = (pixels[0], pixels[-1]) if axis == 0 else (pixels[:, 0], pixels[:, -1])
    lead = _run(pixels, _median(first), axis)
    trail = _run(pixels, _median(last), axis, from_end=True)
    return lead, min(trail, pixels.shape[axis] - lead)


def _median(line: NDArray[np.uint8]) -> int:
    """The median, rounded down: sorting bytes takes a tenth of the time of numpy's median."""
    ordered = np.sort(line)
    return (int(ordered[(len(line) - 1) // 2]) + int(ordered[len(line) // 2])) // 2


def _run(pixels: NDArray[np.uint8], level: int, axis: int, *, from_end: bool = False) -> int:
    """How many lines are empty at this level before the first that is not; lines behind its strip are not examined."""
    lines: int = pixels.shape[axis]
    for start in range(0, lines, STRIP):
        stop = min(start + STRIP, lines)
        part = slice(lines - stop, lines - start) if from_end else slice(start, stop)
        empty = _empty(pixels[part] if axis == 0 else pixels[:, part], level, axis)
        if not empty.all():
            return start + int(np.argmin(empty[::-1] if from_end else empty))
    return lines


def _empty(pixels: NDArray[np.uint8], level: int, axis: int) -> NDArray[np.bool_]:
    """Which lines are empty at this level: bool [lines]."""
    if DARK_BELOW <= level < BRIGHT_FROM:
        return np.zeros(pixels.shape[axis], bool)
    near = cv2.inRange(pixels, max(level - EMPTY_TOLERANCE, 0), min(level + EMPTY_TOLERANCE, 255))
    share = cv2.reduce(near, 1 - axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel() / 255
    return np.asarray(share >= EMPTY_SHARE)
