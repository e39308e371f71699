"""Which pictures might share a part: a vote of local features, without comparing every picture with every other.

Descriptors go into an inverted file (Jegou, Douze and Schmid 2011) whose cells are around randomly drawn
descriptors. For each descriptor the nearest ones of other pictures are looked up in its cells. Every such match says
how one picture would have to be turned, scaled and moved to lie on the other, and matches that say the same are
counted (the Hough transform of Lowe 2004, section 7.3). Mirrored copies are found by mirroring the descriptors.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteolens.audit.pictures import Seen

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

DISTANCE = 0.3
"""Distance of RootSIFT descriptors (0 the same, 1.41 nothing in common) beyond which they do not vote."""
_NEIGHBOURS = 5
_CELLS = 2
"""Cells in which a descriptor is listed; the lookup is in its nearest one."""
_ANGLE, _OCTAVES, _SHIFT = 15.0, 0.5, 0.1
"""Width of a Hough bin: degrees, octaves of scale, shares of the picture's longer side."""
_SIZES = (round(360 / _ANGLE), 16, 128, 128)
"""How many bins there are of each; what lies outside goes into the last."""
_BINS = math.prod(_SIZES)
_LAYOUT = np.arange(128).reshape(4, 4, 8)  # a SIFT descriptor: rows, columns, directions
_MIRROR = _LAYOUT[::-1][:, :, (-np.arange(8)) % 8].reshape(-1)


@dataclass(frozen=True)
class Candidate:
    """Two pictures, by number, and how many features agree on how one lies on the other."""

    first: int
    second: int
    mirrored: bool
    votes: int


def unit(descriptors: NDArray[np.uint8]) -> Floats:
    """RootSIFT (Arandjelovic and Zisserman 2012): float32 [N, 128] of length 1, so that products are cosines."""
    shares = descriptors.astype(np.float32)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    return np.sqrt(shares)


def mirrored(descriptors: Floats) -> Floats:
    """The descriptors as the picture's mirror image would have them, [N, 128]."""
    return descriptors[:, _MIRROR]


def shortlist(seen: Sequence[Seen], least: int, seed: int = 0) -> list[Candidate]:
    """Pairs of pictures on which at least so many features agree, each once, most votes first."""
    counts = [len(picture.points) for picture in seen]
    if sum(counts) == 0:
        return []
    descriptors = unit(np.concatenate([picture.descriptors for picture in seen]))
    owner = np.repeat(np.arange(len(seen)), counts)
    poses = np.concatenate([_centred(picture) for picture in seen])
    index = _Index(descriptors, owner, seed)
    candidates: list[Candidate] = []
    for mirror in (False, True):
        queries, neighbours = index.matches(mirrored(descriptors) if mirror else descriptors)
        candidates += _count(
            _mirrored_poses(poses) if mirror else poses, poses, owner, queries, neighbours, mirror, least
        )
    return sorted(candidates, key=lambda pair: -pair.votes)


class _Index:
    """Descriptors by cell."""

    def __init__(self, descriptors: Floats, owner: Indices, seed: int) -> None:
        self.descriptors, self.owner = descriptors, owner
        cells = max(1, int(np.sqrt(_CELLS * len(descriptors))))
        drawn = np.random.default_rng(seed).choice(len(descriptors), min(cells, len(descriptors)), replace=False)
        self.centres = descriptors[drawn]
        self.members = self._lists(descriptors, min(_CELLS, len(drawn)))

    def _lists(self, descriptors: Floats, cells: int) -> list[Indices]:
        """For each cell, the numbers of the descriptors that have it among their nearest `cells` cells."""
        # In parts of 8192: all similarities at once, descriptors times cells, would take gigabytes.
        parts = np.array_split(descriptors, len(descriptors) // 8192 + 1)
        cell = np.concatenate([_largest(part @ self.centres.T, cells) for part in parts]).ravel()
        order = np.argsort(cell, kind="stable")
        return np.split(order // cells, np.searchsorted(cell[order], np.arange(1, len(self.centres))))

    def matches(self, queries: Floats) -> tuple[Indices, Indices]:
        """Pairs (number in `queries`, number of a near descriptor of another picture), each once."""
        lists = self._lists(queries, 1)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pairs = list(pool.map(lambda numbers, members: self._near(queries, numbers, members), lists, self.members))
        both = np.concatenate(pairs)
        return both[:, 0], both[:, 1]

    def _near(self, queries: Floats, numbers: Indices, members: Indices) -> Indices:
        """The nearest members of one cell for the queries of that cell: int64 [M, 2]."""
        if not len(numbers) or not len(members):
            return np.empty((0, 2), np.int64)
        cosine = queries[numbers] @ self.descriptors[members].T
        # A picture's own descriptors are the nearest of all, and say nothing about copies.
        cosine[self.owner[numbers][:, None] == self.owner[members][None]] = -1
        close = np.flatnonzero(cosine.max(axis=1) > 1 - DISTANCE**2 / 2)
        nearest = min(_NEIGHBOURS, len(members))
        best = np.argpartition(cosine[close], len(members) - nearest, axis=1)[:, -nearest:]
        row, column = np.nonzero(np.take_along_axis(cosine[close], best, axis=1) > 1 - DISTANCE**2 / 2)
        return np.column_stack([numbers[close[row]], members[best[row, column]]])


def _largest(values: Floats, count: int) -> Indices:
    """The columns of each row's largest values, largest first, [N, count]; overwrites the values."""
    rows, columns = np.arange(len(values)), []
    for _ in range(count):
        columns.append(values.argmax(axis=1))
        values[rows, columns[-1]] = -np.inf
    return np.column_stack(columns)


def _centred(picture: Seen) -> Floats:
    """Keypoints as x and y from the picture's centre in units of its longer side, diameter likewise, and angle."""
    height, width = picture.small.shape
    longer = max(height, width)
    poses = picture.points / np.array([longer, longer, longer, 1], np.float32)
    return np.asarray(poses - np.array([width / 2 / longer, height / 2 / longer, 0, 0], np.float32), np.float32)


def _mirrored_poses(poses: Floats) -> Floats:
    """The keypoints of the mirror image: x changes sign, and an angle of a becomes 180 - a degrees."""
    turned = poses * np.array([-1, 1, 1, -1], np.float32)
    return np.asarray(turned + np.array([0, 0, 0, 180], np.float32), np.float32)


def _count(
    from_poses: Floats,
    to_poses: Floats,
    owner: Indices,
    queries: Indices,
    neighbours: Indices,
    mirror: bool,
    least: int,
) -> list[Candidate]:
    """The fullest Hough bin of every pair of pictures; two grids, as a bin's border may cut through a true cluster."""
    pose, other = from_poses[queries], to_poses[neighbours]
    turn = np.deg2rad(other[:, 3] - pose[:, 3])
    scale = other[:, 2] / pose[:, 2]
    x = other[:, 0] - scale * (np.cos(turn) * pose[:, 0] - np.sin(turn) * pose[:, 1])
    y = other[:, 1] - scale * (np.sin(turn) * pose[:, 0] + np.cos(turn) * pose[:, 1])
    placement = np.column_stack([np.rad2deg(turn) % 360 / _ANGLE, np.log2(scale) / _OCTAVES, x / _SHIFT, y / _SHIFT])
    pictures = int(owner.max()) + 1
    pair = owner[queries] * pictures + owner[neighbours]
    votes: dict[tuple[int, int], int] = {}
    for offset in (0.0, 0.5):
        bins, counts = np.unique(_bin_numbers(pair, placement + offset), return_counts=True)
        full = counts >= least
        for number, count in zip((bins[full] // _BINS).tolist(), counts[full].tolist(), strict=True):
            first, second = sorted(divmod(number, pictures))
            votes[first, second] = max(votes.get((first, second), 0), count)
    return [Candidate(first, second, mirror, count) for (first, second), count in votes.items()]


def _bin_numbers(pair: Indices, placement: NDArray[np.floating]) -> Indices:
    """One number per pair of pictures and Hough bin, int64 [M]; `placement` is [M, 4] in widths of bins."""
    numbers = pair
    for column, size in enumerate(_SIZES):
        place = np.floor(placement[:, column]).astype(np.int64)
        # Angles go round; the other columns are counted from the middle bin, and end at the last.
        place = place % size if column == 0 else np.clip(place + size // 2, 0, size - 1)
        numbers = numbers * size + place
    return numbers
