"""Regions of a film, and the share of a heat map in them: beside the body, on markers, middle third, joint band.

The masks come from rules that do not use any map, set by looking at masks on sixty films.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.films.joints import Finder
from osteolens.films.prepare import Geometry, Prepared

Mask = NDArray[np.bool_]

DARK, BRIGHT = 0.2, 0.5
"""Air is darker than the first share of the film's 99th percentile, a marker is brighter than the second."""
THIN = 1 / 16
"""Least thickness of the body as a share of the longer side: letters and collimator edges are thinner."""
SMALLEST_BODY = 0.05
SMALLEST_MARKER, LARGEST_MARKER = 0.0002, 0.01
"""Shares of the film's area that a connected part may take."""

RULE = (
    f"Body: what is brighter than {DARK:.0%} of the film's 99th percentile after a light blur, at least a sixteenth of "
    f"the longer side thick and in connected parts of at least {SMALLEST_BODY:.0%} of the film. Padding is outside. "
    f"Markers: connected parts beside the body of {SMALLEST_MARKER:.2%} to {LARGEST_MARKER:.0%} of the film that are "
    f"brighter than {BRIGHT:.0%} of the 99th percentile (side letters, balls, edges of the collimator); those that lie "
    "over the body are not found. Middle third: the film's rows between one and two thirds of its height, where the "
    "joint space is on films centred on the joint. Joint band: the width of the tibial plateau, from a quarter of it "
    "above the joint space to a quarter below, of every joint that the joint finder sees on the film. All shares are "
    "of the model's whole input."
)


@dataclass(frozen=True)
class Regions:
    """Masks over the model's input, each bool [H, W].

    Attributes:
        outside: Everything except the body, padding included.
        markers: Small bright things beside the body.
        middle: The middle third of the film's rows.
        joint: The joint bands; empty where no joint was found or looked for.
    """

    outside: Mask
    markers: Mask
    middle: Mask
    joint: Mask


def find_regions(prepared: Prepared, joint: Mask | None = None) -> Regions:
    """Find the masks of one film, by `RULE`; its joint band comes from `joint_band`."""
    picture, film = prepared.array[0], film_mask(prepared.geometry)
    white = float(np.percentile(picture[film], 99))
    longer = max(prepared.geometry.scaled)
    smooth = cv2.GaussianBlur(picture, (0, 0), longer / 150)
    thick = _opened(
        (smooth > DARK * white) & film, max(3, round(longer * THIN)) | 1
    )  # odd, so that the disc has a centre
    body = _parts(thick, SMALLEST_BODY * film.sum(), np.inf)
    near = cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    beside = (picture > BRIGHT * white) & film & ~near
    middle = np.zeros_like(film)
    top, height = prepared.geometry.offset[0], prepared.geometry.scaled[0]
    middle[top + round(height / 3) : top + round(2 * height / 3)] = True
    return Regions(
        outside=~body,
        markers=_parts(beside, SMALLEST_MARKER * film.sum(), LARGEST_MARKER * film.sum()),
        middle=middle & film,
        joint=np.zeros_like(film) if joint is None else joint,
    )


def joint_band(pixels: NDArray[np.uint8], geometry: Geometry, finder: Finder) -> Mask:
    """The band around each joint space of a film uint8 [h, w], as a mask over the model's input [H, W]."""
    upright = np.ascontiguousarray(np.rot90(pixels, geometry.turn // 90))
    boxes = [joint.regions(upright.shape).get("joint") for joint in finder.find(upright)]
    mask, (top, left, *crop) = np.zeros(geometry.input, bool), geometry.crop
    down, across = (inside / kept for inside, kept in zip(geometry.scaled, crop, strict=True))
    for x0, y0, x1, y1 in filter(None, boxes):
        rows = [max(0, round((y - top) * down) + geometry.offset[0]) for y in (y0, y1)]
        columns = [max(0, round((x - left) * across) + geometry.offset[1]) for x in (x0, x1)]
        mask[slice(*rows), slice(*columns)] = True
    mask &= film_mask(geometry)
    return mask[:, ::-1] if geometry.mirrored else mask


def film_mask(geometry: Geometry) -> Mask:
    """Which pixels of the input are film and not padding: bool [H, W]."""
    mask = np.zeros(geometry.input, bool)
    (top, left), (height, width) = geometry.offset, geometry.scaled
    mask[top : top + height, left : left + width] = True
    return mask


def enlarged(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A map float32 [h, w] at the size (H, W) of the input, bilinear."""
    return np.asarray(cv2.resize(heat, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def share_of_mass(heat: NDArray[np.float32], mask: Mask) -> float:
    """Share of a map's sum, which is not 0, that lies under a mask; both [H, W]."""
    return float(heat[mask].sum(dtype=np.float64) / heat.sum(dtype=np.float64))


def height_of_mass(heat: NDArray[np.float32], geometry: Geometry) -> float:
    """How far down the film a map's centre of mass lies: 0 is its upper edge, 1 the lower.

    Mass in the padding above and below counts as well, so that a map beside the film cannot look well placed.
    """
    top, height = geometry.offset[0], geometry.scaled[0]
    rows = heat.sum(axis=1, dtype=np.float64)
    return float(rows @ (np.arange(len(rows)) + 0.5 - top) / rows.sum() / height)


def _opened(mask: Mask, diameter: int) -> Mask:
    """Morphological opening of a mask by a disc; beyond the picture counts as empty."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    wider = np.pad(mask.astype(np.uint8), diameter)
    opened = cv2.morphologyEx(wider, cv2.MORPH_OPEN, disc)
    return np.asarray(opened[diameter:-diameter, diameter:-diameter] > 0)


def _parts(mask: Mask, smallest: float, largest: float) -> Mask:
    """Connected parts of a mask with `smallest` to `largest` pixels."""
    _, names, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA]
    fits = (areas >= smallest) & (areas <= largest)
    fits[0] = False  # OpenCV numbers the background 0
    return np.asarray(fits[names])
