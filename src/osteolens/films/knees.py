"""Knees on a film: which side each is, whether they can be read, and the input that a model is given for each."""

import numpy as np
from numpy.typing import NDArray

from osteolens.card import PreprocessSpec
from osteolens.errors import UnusableImage
from osteolens.films.joints import Finder, Joint
from osteolens.films.prepare import Prepared, cut, prepare
from osteolens.quality import Side, SideSource

FRAMED = 0.12
"""A picture is a frame already when size and place of its joint differ from a frame's by less than this share."""
SURE_SIDE = 0.9
TURNED = 13.0
"""Degrees; films of standing or lying people stay below."""
CUT_OFF = 0.02
"""Share of the plateau that may lie outside of the film: where a knee is cut, half of it looks like a narrower one."""

WHICH_KNEE = "the film shows {} knees, and the row does not say which it is about"


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


def is_framed(joint: Joint, film: tuple[int, int]) -> bool:
    """Whether a film of this (height, width) is already the frame of its joint, up to the usual differences."""
    height, width = film
    left, top, right, bottom = joint.frame
    differences = ((left + right - width) / 2 / width, (top + bottom - height) / 2 / height)
    sizes = ((right - left) / width - 1, (bottom - top) / height - 1)
    return all(abs(value) < FRAMED for value in differences) and all(abs(value) < 2 * FRAMED for value in sizes)


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
