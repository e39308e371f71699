"""Joints on a film: the place of each, and its frame, the standard picture of one knee.

A small network (`weights/joints`, trained by `train/joints.py`) says for each cell of a reduced film whether a joint
is there. The frame is that of the collections of single knees: a square with the joint a little below its middle, in
which the tibial plateau takes most of the width.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.card import FINDER_FILE, Card, file_sha256
from osteolens.errors import CardError
from osteolens.files import whole

INPUT_SIDE, CELL = 128, 8
"""Side of the reduced film and of a cell of the network's maps, in its pixels."""
SINGLE_JOINT, SINGLE_PLATEAU = (0.5, 0.6), 0.83
"""Place of the joint (across, down) and width of the plateau in a frame, as shares of its side: means of 32 pictures of
the osteoarthritis collection, measured by eye, so that a frame is such a picture as its model was shown."""
SCORE = 0.5
"""Lowest presence of a joint: that of the films and single knees that the network learned from is 0.57 or more."""
REAL = 2.5
"""Lowest logit, by the finder's second look, of what is a knee and does not only look like one: knees that it learned
from have 3.4 or more, drawn other parts of a body 1.9 or less."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Joint:
    """A knee joint on a film.

    Attributes:
        x: Centre of the joint space from the left, in pixels of the film.
        y: The same from the top.
        width: Width of the tibial plateau in pixels.
        turn: Degrees that the leg is turned clockwise from upright.
        left: Probability of a left knee, from the side that the fibula is on; for the picture as it is displayed.
        score: Presence, 0 to 1.
    """

    x: float
    y: float
    width: float
    turn: float
    left: float
    score: float

    @property
    def frame(self) -> Box:
        """The square around the knee; it may reach beyond the film."""
        side = self.width / SINGLE_PLATEAU
        left, top = self.x - SINGLE_JOINT[0] * side, self.y - SINGLE_JOINT[1] * side
        return round(left), round(top), round(left) + round(side), round(top) + round(side)

    def regions(self, film: tuple[int, int]) -> dict[str, Box]:
        """Parts of the leg inside a film of this (height, width), by name; empty ones are left out.

        A shaft begins a plateau's width from the joint, where the cortices run parallel, and is as long and as wide.
        """
        half = self.width / 2
        spans = {"femoral shaft": (-2.2, -1.2), "joint": (-0.25, 0.25), "tibial shaft": (1.0, 2.0)}
        lean = math.tan(math.radians(self.turn))
        boxes = {}
        for name, (start, end) in spans.items():
            middle = self.x - lean * self.width * (start + end) / 2
            box = (middle - half, self.y + start * self.width, middle + half, self.y + end * self.width)
            left, top, right, bottom = within((round(box[0]), round(box[1]), round(box[2]), round(box[3])), film)
            if right > left and bottom > top:
                boxes[name] = (left, top, right, bottom)
        return boxes


class Finder:
    """Finds the joints on films.

    Args:
        path: The network, `joints.onnx`.

    Raises:
        CardError: It cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._graph = path.read_bytes()  # now: a worker's folder may be gone later
        except OSError as error:
            raise CardError(f"the joint finder {path} cannot be read: {error.strerror}") from error

    @cached_property
    def _session(self):  # type: ignore[no-untyped-def]
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            return ort.InferenceSession(self._graph, options, providers=["CPUExecutionProvider"])
        except (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented) as error:
            raise CardError(f"{self.path} is not the joint finder that comes with OsteoLens: {error}") from error

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Joint, ...]:
        """All joints on a film uint8 [H, W], from left to right."""
        small, scale, left, top = reduced(pixels)
        maps = self._session.run(None, {"film": small[None, None]})[0][0]
        joints = [
            Joint((x - left) / scale, (y - top) / scale, width / scale, turn, left_knee, score)
            for x, y, width, turn, left_knee, score in decoded(maps)
        ]
        return tuple(sorted(joints, key=lambda joint: joint.x))


def finder_of(folder: Path, card: Card) -> Finder | None:
    """The finder in a model's folder, or in `joints` beside it; None for a model of whole films that cannot have one.

    Raises:
        CardError: A model of single knees has no finder, or another than its card says, or nothing to run it with.
    """
    path, runs = finder_beside(folder), find_spec("onnxruntime") is not None
    if card.preprocess.view == "each knee":
        if path is None:
            raise CardError(f"no {FINDER_FILE} in {folder}, which the model {card.name} needs to cut out each knee")
        if (actual := file_sha256(path)) != card.joints_sha256:
            raise CardError(
                f"{path} is not the joint finder of {card.name}: its sha256 is {actual}, the card says "
                f"{card.joints_sha256}"
            )
        if not runs:
            raise CardError(
                f"{card.name} needs onnxruntime to cut out each knee, which is not installed: pip install "
                "'osteolens[serve]'"
            )
    return Finder(path) if path and runs else None


def finder_beside(folder: Path) -> Path | None:
    """The file of the finder in a model's folder, or in the folder `joints` beside it."""
    paths = folder / FINDER_FILE, folder.parent / "joints" / FINDER_FILE
    return next((path for path in paths if path.is_file()), None)


def copy_finder(path: Path | None, folder: Path) -> str:
    """Put a finder into a model's folder, and return its hash for the card.

    Raises:
        CardError: There is none.
    """
    if path is None or not path.is_file():
        raise CardError(f"there is no joint finder {path or FINDER_FILE}, without which no knee can be cut out")
    target = folder / FINDER_FILE
    if path.resolve() != target.resolve():
        with whole(target) as draft:
            draft.write_bytes(path.read_bytes())
    return file_sha256(target)


def reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, int, int]:
    """A film fitted into the network's input: uint8 [INPUT_SIDE, INPUT_SIDE], its scale, and its left and top there."""
    height, width = pixels.shape
    scale = INPUT_SIDE / max(height, width)
    step = max(1, max(height, width) // (3 * INPUT_SIDE))  # skipped lines cost nothing, and three a pixel are left
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels[::step, ::step], size, interpolation=cv2.INTER_AREA)
    left, top = (INPUT_SIDE - size[0]) // 2, (INPUT_SIDE - size[1]) // 2
    canvas = np.zeros((INPUT_SIDE, INPUT_SIDE), np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas, scale, left, top


def decoded(maps: NDArray[np.float32]) -> list[tuple[float, float, float, float, float, float]]:
    """Joints from the network's maps float32 [7, h, w], the surest first.

    The maps are described in `train/joint_views.py`, the last in `train/joint_check.py`.

    Returns:
        x, y and width in pixels of the input, turn in degrees, probability of a left knee, presence.
    """
    presence = _sigmoid(maps[0])
    joints: list[tuple[float, float, float, float, float, float]] = []
    real: list[bool] = []
    for cell in np.argsort(presence, axis=None)[::-1]:
        row, column = divmod(int(cell), presence.shape[1])
        if presence[row, column] < SCORE:
            break
        across, down, size, turn, side = (float(value) for value in maps[1:6, row, column])
        x, y, width = (column + 0.5 + across) * CELL, (row + 0.5 + down) * CELL, math.exp(min(size, 4.0)) * CELL
        # Two knees are further apart than a plateau is wide: nearer peaks are of one knee.
        if all(math.hypot(x - other[0], y - other[1]) > 0.7 * max(width, other[2]) for other in joints):
            left = float(_sigmoid(np.float32(side)))
            joints.append((x, y, width, turn * 30, left, float(presence[row, column])))
            real.append(bool(maps[6, row, column] > REAL))
    return [joint for joint, knee in zip(joints, real, strict=True) if knee]


def _sigmoid(values: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float32)


def within(box: Box, film: tuple[int, int]) -> Box:
    """The part of a box that lies on a film of this (height, width)."""
    height, width = film
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)
