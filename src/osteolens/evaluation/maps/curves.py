"""Deletion and insertion curves (Petsiuk et al. 2018): does the answer depend on what a heat map marks?

Pixels are taken away from a film (or put into its blurred copy) from the hottest to the coolest. The faster the
probability of the explained class falls (or comes back), the better the map ranks the pixels.
"""

from collections.abc import Callable
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.evaluation.maps.regions import enlarged

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]

Kind = Literal["deletion", "insertion"]
Order = Literal["map", "random", "centre"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ORDERS: tuple[Order, ...] = get_args(Order)

STEPS = 10
SHARES = tuple(step / STEPS for step in range(STEPS + 1))
"""Shares of the pixels that are changed, one for each point of a curve."""
PASSES = 2 + 2 * 3 * (STEPS - 1)
"""Number of pictures that the curves of one film need."""
BLUR = 0.05
"""Standard deviation of the blur that removes all detail, as a share of the longer side."""
CENTRE_WIDTH = 0.25
"""Standard deviation of the control that always points at the middle, as a share of each side."""

RULE = (
    f"In {STEPS} equal steps, pixels of the film are replaced by those of its blurred copy (Gaussian, {BLUR:.0%} of "
    "the longer side), or the other way round, from the hottest to the coolest. The probability of the explained "
    "class is read each time; the area is its mean over the steps. Controls: random values on a grid as coarse as the "
    "map's, enlarged as the map is (single random pixels would be noise, which upsets a network for another reason), "
    f"and a Gaussian in the middle of the input ({CENTRE_WIDTH:.0%} of each side). Where the map is flat, the random "
    "control decides the order."
)


def curves(
    predict: Callable[[Pictures], Floats], film: Pictures, heat: NDArray[np.float32], target: int, seed: int
) -> Floats:
    """Compute the curves of one film.

    Args:
        predict: uint8 [M, 1, H, W] -> probabilities float64 [M, K].
        film: uint8 [1, H, W], as the model takes it.
        heat: float32 [h, w], the map of the explained class.
        target: Index of that class.
        seed: Random seed for the random order.

    Returns:
        float64 [2, 3, STEPS + 1]: by `KINDS`, by `ORDERS`, the probability at each of `SHARES`.
    """
    ranks = rankings(heat, film.shape[1:], seed)
    blurred = cv2.GaussianBlur(film[0], (0, 0), max(film.shape) * BLUR)[None]
    # Whatever the order, the ends of a curve are the film and its blurred copy: they are predicted once.
    pictures = [film, blurred]
    inner = [round(share * film.size) for share in SHARES[1:-1]]
    for before, after in ((film, blurred), (blurred, film)):
        pictures += [np.where(rank < count, after, before) for rank in ranks for count in inner]
    probability = predict(np.stack(pictures))[:, target]
    values = np.empty((len(KINDS), len(ORDERS), len(SHARES)))
    values[:, :, 1:-1] = probability[2:].reshape(len(KINDS), len(ORDERS), -1)
    values[0, :, 0] = values[1, :, -1] = probability[0]
    values[0, :, -1] = values[1, :, 0] = probability[1]
    return values


def areas(values: Floats) -> Floats:
    """Area under each curve by the trapezoid rule: [..., STEPS + 1] -> [...]."""
    return np.asarray(np.trapezoid(values, dx=1 / STEPS, axis=-1))


def rankings(heat: NDArray[np.float32], size: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Rank of each pixel in each order, 0 first: int64 [3, H, W] by `ORDERS`."""
    height, width = size
    chance = np.random.default_rng(seed).random(heat.shape, np.float32)
    random = enlarged(chance, (height, width)).ravel()
    rows, columns = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    middle = (-(rows**2 + columns**2) / CENTRE_WIDTH**2).ravel()
    by_map = enlarged(heat, (height, width)).ravel()
    ranks = np.empty((len(ORDERS), height * width), np.int64)
    # lexsort goes by the last key; the random one orders equal pixels, which are most of a sparse map.
    for rank, keys in zip(ranks, ((random, by_map), (random,), (random, middle)), strict=True):
        rank[np.lexsort(keys)[::-1]] = np.arange(height * width)
    return ranks.reshape(len(ORDERS), height, width)
