"""Knees on a film: the place of each joint, which side it is, and its frame, the standard picture of one knee.

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

from osteolens.card import FINDER_FILE, Card, PreprocessSpec, file_sha256
from osteolens.errors import CardError, UnusableImage
from osteolens.files import whole
from osteolens.films.prepare import Prepared, cut, prepare
from osteolens.quality import Side, SideSource

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
FRAMED = 0.12
"""A picture is a frame already when size and place of its joint differ from a frame's by less than this share."""
SURE_SIDE = 0.9
TURNED = 13.0
"""Degrees; films of standing or lying people stay below."""
CUT_OFF = 0.02
"""Share of the plateau that may lie outside of the film: where a knee is cut, half of it looks like a narrower one."""

WHICH_KNEE = "the film shows {} knees, and the row does not say which it is about"

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


def is_framed(joint: Joint, film: tuple[int, int]) -> bool:
    """Whether a film of this (height, width) is already the frame of its joint, up to the usual differences."""
    height, width = film
    left, top, right, bottom = joint.frame
    differences = ((left + right - width) / 2 / width, (top + bottom - height) / 2 / height)
    sizes = ((right - left) / width - 1, (bottom - top) / height - 1)
    return all(abs(value) < FRAMED for value in differences) and all(abs(value) < 2 * FRAMED for value in sizes)


def within(box: Box, film: tuple[int, int]) -> Box:
    """The part of a box that lies on a film of this (height, width)."""
    height, width = film
    left, top, right, bottom = box
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def sides(joints: tuple[Joint, ...], header: Side | None = None) -> tuple[tuple[Side | None, SideSource | None], ...]:
    """Side of each joint (from left to right) and how it is known.

    A film of both legs shows the patient's right leg on the left, as seen from the front, unless both fibulae
    contradict. A single knee's side is what the header says, or the side that the fibula is on.
    """
    if len(joints) == 2:
        first, second = joints
        mirrored = first.left > SURE_SIDE and second.left < 1 - SURE_SIDE
        return ((None, None),) * 2 if mirrored else (("right", "position"), ("left", "position"))
    if len(joints) == 1 and header:
        return ((header, "header"),)
    return tuple(_by_fibula(joint) for joint in joints)


def _by_fibula(joint: Joint) -> tuple[Side | None, SideSource | None]:
    if joint.left > SURE_SIDE:
        return "left", "fibula"
    return ("right", "fibula") if joint.left < 1 - SURE_SIDE else (None, None)


def faults(joints: tuple[Joint, ...], film: tuple[int, int]) -> dict[str, str]:
    """Reasons by code why a film of this (height, width) with these joints is not one that can be read."""
    if not joints:
        return {"no_knee": "no knee joint was found; expected a film from the front with one knee or both"}
    if len(joints) > 2:
        return {"several_knees": f"{len(joints)} knee joints were found; expected one knee or both of one person"}
    reasons = {}
    for joint in joints:
        edges = joint.x - joint.width / 2, film[1] - joint.x - joint.width / 2
        if min(edges) < -CUT_OFF * joint.width:
            reasons["knee_cut_off"] = "part of a knee joint lies beyond the edge; expected the whole tibial plateau"
        if abs(joint.turn) > TURNED:
            way = "clockwise" if joint.turn > 0 else "anticlockwise"
            reasons["turned"] = f"a leg is turned by {abs(joint.turn):.0f} degrees {way}; expected an upright leg"
    return reasons


def prepare_each(
    pixels: NDArray[np.uint8], spec: PreprocessSpec, joints: tuple[Joint, ...], known: tuple[Side | None, ...]
) -> list[Prepared]:
    """The inputs of a model: one per knee for a model of single knees, else the whole film.

    Args:
        pixels: uint8 [H, W].
        spec: Parameters from the model's card.
        joints: The joints on the film. Without any, a model of single knees is given the whole film.
        known: Side of each.
    """
    if spec.view == "whole film" or not joints:
        return [prepare(pixels, spec)]
    prepared = []
    for joint, side in zip(joints, known, strict=True):
        mirrored = bool(spec.mirror_to and side and side != spec.mirror_to)
        if len(joints) == 1 and is_framed(joint, pixels.shape):
            prepared.append(prepare(pixels, spec, mirrored=mirrored))
        else:
            left, top, right, bottom = joint.frame
            prepared.append(cut(pixels, (top, left, bottom - top, right - left), spec, mirrored=mirrored))
    return prepared


def prepare_row(pixels: NDArray[np.uint8], spec: PreprocessSpec, finder: Finder | None, side: Side | None) -> Prepared:
    """The input for one row of a table: the film, or the knee on the row's side.

    Args:
        pixels: uint8 [H, W].
        spec: Parameters from the model's card.
        finder: Finds the knees for a model of single knees.
        side: Side of the knee that the row is about; None where the table does not say it.

    Raises:
        UnusableImage: It does not say it, and the film shows two knees; or their sides are not clear.
    """
    joints = finder.find(pixels) if finder and spec.view == "each knee" else ()
    known = tuple(side for side, _ in sides(joints))
    if len(joints) < 2:
        return prepare_each(pixels, spec, joints, (side,) if joints and side else known)[0]
    if side not in known:
        raise UnusableImage(
            WHICH_KNEE.format(len(joints)),
            "give the table a column side with left or right, and a row for each knee",
        )
    which = known.index(side)
    return prepare_each(pixels, spec, (joints[which],), (side,))[0]
