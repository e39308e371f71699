"""Text that is burnt into the borders of a film: where it is, and black in its place.

A line of text, on a film as a workstation shows it, is told by three properties together:

1. Strokes: parts thinner than 1/50 of the film's shorter side that are brighter, or darker, than their surroundings by
   at least 80 of 255 grey levels. Trabeculae, soft tissue and grain are far fainter, edges of bones far wider.
2. Letters: at least three such parts, each at most 1/12 of the shorter side high, beside each other with gaps of less
   than two heights. Fainter ones (40 levels) in the same row belong to the line too, up to three heights from it. A
   side marker of one letter is no text, and stays.
3. The border: the line is in the outer 1/5 of the film's height, or lies wholly in the outer 1/5 of its width.

What lies over the knee itself is not looked for: blacking it out would take what the film is made for.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CONTRAST, FAINT = 80, 40
LETTERS = 3
GAP = 3
BORDER = 1 / 5
_STROKE, _HEIGHT = 1 / 50, 1 / 12
_LEAST_HEIGHT = 5


class Box(NamedTuple):
    """A rectangle of pixels; `bottom` and `right` are the first row and column below and beside it."""

    top: int
    bottom: int
    left: int
    right: int


def text_boxes(pixels: NDArray[np.uint8]) -> list[Box]:
    """Lines of text in the borders, with a margin around each.

    Args:
        pixels: uint8 [H, W], a film as shown.
    """
    return [box for polarity in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT) for box in _lines(pixels, polarity)]


def black_out(values: NDArray[np.integer], pixels: NDArray[np.uint8], boxes: list[Box]) -> NDArray[np.integer]:
    """Stored values with the film's own darkest value in each box, so that they mean black however they are shown.

    Args:
        values: Integers [H, W] or [H, W, 3]; they are not changed.
        pixels: uint8 [H, W], the film as shown.
        boxes: From `text_boxes`.
    """
    blackened = values.copy()
    darkest = values[np.unravel_index(pixels.argmin(), pixels.shape)]
    for box in boxes:
        blackened[box.top : box.bottom, box.left : box.right] = darkest
    return blackened


def _lines(pixels: NDArray[np.uint8], polarity: int) -> list[Box]:
    height, width = pixels.shape
    stroke = max(7, round(min(height, width) * _STROKE)) | 1
    relief = cv2.morphologyEx(pixels, polarity, np.ones((stroke, stroke), np.uint8))
    clear, faint = (_letters(relief >= contrast, stroke) for contrast in (CONTRAST, FAINT))
    boxes = []
    for line in _beside_each_other(clear, (height, width)):
        box = _around(line)
        if len(line) >= LETTERS and _at_border(box, height, width):
            box = _grown(box, faint)
            margin = max(3, (box.bottom - box.top) // 2)
            top, left = max(0, box.top - margin), max(0, box.left - 2 * margin)
            boxes.append(Box(top, min(height, box.bottom + margin), left, min(width, box.right + 2 * margin)))
    return boxes


def _letters(strokes: NDArray[np.bool_], stroke: int) -> list[Box]:
    """Parts of the size of a letter, or of a few that touch."""
    tallest = max(min(strokes.shape) * _HEIGHT, 2 * _LEAST_HEIGHT)
    _, _, parts, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    return [
        Box(top, top + tall, left, left + wide)
        for left, top, wide, tall, _ in parts[1:].tolist()
        if _LEAST_HEIGHT <= tall <= tallest and wide <= 3 * tall + stroke
    ]


def _grown(line: Box, faint: list[Box]) -> Box:
    """A line with what stands in the same row within three heights of it: other words, letters over brighter bone."""
    tall = line.bottom - line.top
    row = [
        part
        for part in faint
        if line.top <= (part.top + part.bottom) / 2 <= line.bottom and part.bottom - part.top <= 2 * tall
    ]
    while True:
        near = [part for part in row if part.left - GAP * tall <= line.right and part.right + GAP * tall >= line.left]
        wider = _around([line, *near])
        if wider == line:
            return line
        line = wider


def _beside_each_other(letters: list[Box], shape: tuple[int, int]) -> list[list[Box]]:
    """Letters by the line that they stand in: those whose surroundings, as wide as they are high, touch."""
    reach = np.zeros(shape, np.uint8)
    for letter in letters:
        tall = letter.bottom - letter.top
        middle = slice(letter.top + tall // 4, letter.bottom - tall // 4)
        reach[middle, max(0, letter.left - tall) : letter.right + tall] = 1
    _, numbers = cv2.connectedComponents(reach, connectivity=4)
    lines: dict[int, list[Box]] = {}
    for letter in letters:
        number = int(numbers[(letter.top + letter.bottom) // 2, (letter.left + letter.right) // 2])
        lines.setdefault(number, []).append(letter)
    return list(lines.values())


def _around(letters: list[Box]) -> Box:
    tops, bottoms, lefts, rights = zip(*letters, strict=True)
    return Box(min(tops), max(bottoms), min(lefts), max(rights))


def _at_border(line: Box, height: int, width: int) -> bool:
    middle, rows, columns = (line.top + line.bottom) / 2, height * BORDER, width * BORDER
    return not rows < middle < height - rows or line.right < columns or line.left > width - columns
