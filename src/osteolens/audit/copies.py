"""Which pictures are copies of each other, or cut from each other: a cascade from cheap and certain to dear.

1. the same bytes, or the same pixels in another file;
2. the same whole picture in one of eight poses, by thumbnails: resized, squeezed, encoded again, mirrored or turned;
3. parts of the same picture, by local features (`index`), confirmed pixel by pixel (`overlap`).

Thumbnails are compared by the finest detail they have. Measured on the thumbnails of 177 knee films: copies (224 x 224,
128 x 256, 64 x 64, JPEG quality 20, noise, gamma, CLAHE) correlate at 0.86 to 1.00, different films at 0.67 at most; of
1.4 million pairs of OAI knees, which are all centred and lit alike, the highest is 0.73. Coarser detail does not tell
different knees apart: there the films reach 0.97.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from osteolens.audit.index import shortlist
from osteolens.audit.overlap import lay, similarity
from osteolens.audit.pictures import Seen
from osteolens.datasets.fingerprints import POSES, Pose, detail, pose_pixels

Kind = Literal["same file", "same pixels", "copy", "cut", "overlap"]
Outline = tuple[tuple[float, float], ...]
Matrix = NDArray[np.float64]

VOTES = 4
INLIERS = 8
SIMILAR = 0.85
ALIKE = 0.75
"""Correlation of thumbnails from which two pictures are compared at full size."""
_ROWS = 1024
_COVERED = 0.8
"""Share of a picture that must lie in another one for it to be a part of it."""
_WHOLE: Outline = ((0, 0), (1, 0), (1, 1), (0, 1))
_GRID = np.stack(np.meshgrid(*[np.linspace(0.01, 0.99, 40)] * 2), axis=-1).reshape(-1, 2)
# On pictures whose sides are 1: left to right, and a quarter anticlockwise.
_MIRROR = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
_QUARTER = np.array([[0.0, 1, 0], [-1, 0, 1], [0, 0, 1]])


@dataclass(frozen=True)
class Match:
    """Two pictures with a part in common.

    Attributes:
        first: Number of the picture; of two of which one was cut from the other, the larger.
        second: Number of the other, such as the crop.
        kind: `overlap` means that each shows something that the other does not.
        mirrored: Whether the second is mirrored left to right.
        turned: Degrees clockwise, after mirroring, -180 to 180.
        scale: How many pixels of the second one pixel of the first became.
        similarity: Correlation of the fine structure, -1 to 1.
        outline: Corners of the second's frame on the first, as shares of its width and height.
    """

    first: int
    second: int
    kind: Kind
    mirrored: bool = False
    turned: float = 0.0
    scale: float = 1.0
    similarity: float = 1.0
    outline: Outline = _WHOLE

    def describe(self) -> str:
        """The second picture in words, such as `a part, mirrored, turned by 3 degrees`."""
        names = {
            "same file": "the same file",
            "same pixels": "the same picture in another file",
            "copy": "a copy",
            "cut": "a part",
            "overlap": "another part of the same picture",
        }
        how = [names[self.kind]]
        if self.mirrored:
            how.append("mirrored")
        if round(self.turned):
            how.append(f"turned by {round(self.turned)} degrees")
        if not 0.97 < self.scale < 1.03:
            how.append(f"at {self.scale:.2f} times the size")
        return ", ".join(how)


def find_copies(seen: Mapping[int, Seen], console: Console) -> list[Match]:
    """All pairs of pictures with a part in common; of many identical files, each is paired with the first only.

    Args:
        seen: Pictures by number.
        console: Where progress goes.
    """
    files = {number: picture.facts.file_sha256 for number, picture in seen.items()}
    matches = _repeated(files, "same file")
    rest = files.keys() - {match.second for match in matches}
    matches += _repeated({number: seen[number].facts.pixel_sha256 for number in sorted(rest)}, "same pixels")
    # The dear steps see each different picture once: a file that is there 100 times would make 4,950 pairs.
    distinct = sorted(rest - {match.second for match in matches})
    pairs: dict[tuple[int, int], Match] = {}
    for match in _similar([seen[number] for number in distinct], console):
        match = _renumbered(match, distinct)
        # Thumbnails and features may both find a pair, and features also mirrored: the better fit describes it.
        key = (min(match.first, match.second), max(match.first, match.second))
        if key not in pairs or match.similarity > pairs[key].similarity:
            pairs[key] = match
    return matches + list(pairs.values())


def origins(count: int, matches: Iterable[Match]) -> NDArray[np.int64]:
    """A number per picture, int64 [count], that pictures share if a chain of matches joins them."""
    pairs = np.array([(match.first, match.second) for match in matches], np.int64).reshape(-1, 2)
    return connected(count, pairs)


def connected(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number per thing, int64 [count], that things share if a chain of pairs [P, 2] joins them."""
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _repeated(hashes: Mapping[int, str], kind: Kind) -> list[Match]:
    """Each later picture of the same hash, with the first."""
    first: dict[str, int] = {}
    return [
        Match(before, number, kind)
        for number, value in hashes.items()
        for before in [first.setdefault(value, number)]
        if before != number
    ]


def _similar(seen: Sequence[Seen], console: Console) -> Iterator[Match]:
    for first, second, transform in whole_copies(seen):
        agreement = similarity(seen[first].small, seen[second].small, transform)
        if agreement >= SIMILAR:
            yield _match(seen, first, second, transform, agreement)
    candidates = shortlist(seen, VOTES)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        overlaps = pool.map(lambda pair: lay(seen[pair.first], seen[pair.second], pair.mirrored), candidates)
        shown = track(overlaps, "comparing pictures", len(candidates), console=console, disable=not console.is_terminal)
        for pair, overlap in zip(candidates, shown, strict=True):
            if overlap and overlap.inliers >= INLIERS and overlap.similarity >= SIMILAR:
                yield _match(seen, pair.first, pair.second, overlap.transform, overlap.similarity)


def whole_copies(seen: Sequence[Seen]) -> Iterator[tuple[int, int, Matrix]]:
    """Pairs of pictures whose thumbnails agree in one of the eight poses.

    Yields:
        The two numbers, and the transform [2, 3] from the first's to the second's small picture.
    """
    details = np.stack([detail(picture.thumb) for picture in seen])
    flat = details.reshape(len(seen), -1)
    for pose in POSES:
        posed = pose_pixels(details, pose).reshape(len(seen), -1)
        for start in range(0, len(seen), _ROWS):
            # Above the diagonal: each pair once, and no picture with itself.
            alike = np.triu(posed[start : start + _ROWS] @ flat[start:].T, 1)
            for row, column in np.argwhere(alike >= ALIKE).tolist():
                first, second = seen[start + row].small.shape, seen[start + column].small.shape
                yield start + row, start + column, pose_transform(pose, first, second)


def pose_transform(pose: Pose, first: Sequence[int], second: Sequence[int]) -> Matrix:
    """Transform of a pose, from pixels of a picture of shape [h, w] to those of another one: float64 [2, 3]."""
    mirror, quarters = pose
    transform = _MIRROR if mirror else np.eye(3)
    for _ in range(quarters):
        transform = _QUARTER @ transform
    return np.asarray((np.linalg.inv(_to_unit(second)) @ transform @ _to_unit(first))[:2])


def _to_unit(shape: Sequence[int]) -> Matrix:
    """From pixels, whose centres have whole numbers, to shares of a picture's width and height: [3, 3]."""
    height, width = shape
    return np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])


def _match(seen: Sequence[Seen], first: int, second: int, transform: Matrix, agreement: float) -> Match:
    """The match that a transform [2, 3] from the first's to the second's small picture stands for."""
    inverse = np.asarray(cv2.invertAffineTransform(transform), np.float64)
    first_inside = _share_inside(_placed(_GRID, transform, seen[first], seen[second]))
    second_inside = _share_inside(_placed(_GRID, inverse, seen[second], seen[first]))
    if first_inside >= _COVERED > second_inside:  # the other way round, so that the whole comes before its part
        return _match(seen, second, first, inverse, agreement)
    kind: Kind = "overlap" if second_inside < _COVERED else "copy" if first_inside >= _COVERED else "cut"
    mirrored = bool(np.linalg.det(transform[:, :2]) < 0)
    axes = transform[:, :2] @ np.diag([-1.0, 1.0]) if mirrored else transform[:, :2]
    # The transform is between two shrunk pictures; people compare the files.
    file_scale = _shrinking(seen[first]) / _shrinking(seen[second])
    return Match(
        first,
        second,
        kind,
        mirrored,
        turned=float(np.rad2deg(np.arctan2(axes[1, 0] - axes[0, 1], axes[0, 0] + axes[1, 1]))),
        scale=float(np.sqrt(abs(np.linalg.det(axes)))) * file_scale,
        similarity=agreement,
        outline=tuple((float(x), float(y)) for x, y in _placed(np.array(_WHOLE), inverse, seen[second], seen[first])),
    )


def _placed(points: Matrix, transform: Matrix, moved: Seen, onto: Seen) -> Matrix:
    """Points [P, 2] of one picture on another, both as shares of width and height."""
    pixels = points * moved.small.shape[::-1] @ transform[:, :2].T + transform[:, 2]
    return np.asarray(pixels / onto.small.shape[::-1])


def _share_inside(points: Matrix) -> float:
    """The share of points [P, 2] that lie in the picture, give or take a hundredth."""
    return float(((points > -0.01) & (points < 1.01)).all(axis=1).mean())


def _shrinking(picture: Seen) -> float:
    return float(max(picture.small.shape) / max(picture.facts.height, picture.facts.width))


def _renumbered(match: Match, numbers: Sequence[int]) -> Match:
    return replace(match, first=numbers[match.first], second=numbers[match.second])
