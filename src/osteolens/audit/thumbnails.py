"""Copies of whole pictures: resized, squeezed, encoded again, mirrored or turned by quarters.

Every thumbnail is compared with every other one in all eight poses by the finest detail it has. Measured on the
thumbnails of 177 knee films: copies (224 x 224, 128 x 256, 64 x 64, JPEG quality 20, noise, gamma, CLAHE) correlate
at 0.86 to 1.00, different films at 0.67 at most; of 1.4 million pairs of OAI knees, which are all centred and lit
alike, the highest is 0.73. Coarser detail does not tell different knees apart: there the films reach 0.97.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from osteolens.audit.pictures import Seen
from osteolens.datasets.fingerprints import POSES, Pose, detail, pose_pixels

Matrix = NDArray[np.float64]

SIMILAR = 0.75
"""Correlation of thumbnails from which two pictures are compared at full size."""
_ROWS = 1024
# On pictures whose sides are 1: left to right, and a quarter anticlockwise.
_MIRROR = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
_QUARTER = np.array([[0.0, 1, 0], [-1, 0, 1], [0, 0, 1]])


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
            for row, column in np.argwhere(alike >= SIMILAR).tolist():
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
