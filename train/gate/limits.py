"""The numbers of `gate.json`: thresholds of the network's findings and limits of the measurements."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gate import defects
from gate.sources import Source
from osteolens.films.gate import FINDINGS, Gate, Limit, Measurements, measure
from osteolens.films.prepare import content_box

LOWEST, HIGHEST = 0.3, 0.95
"""A threshold is nowhere else, however few good films come near it."""
PASSED, VARIED_PASSED = 0.997, 0.99
"""Shares of good knees and of varied films, which are further out than real ones, that a threshold passes, beside all
good films of its part."""
MARGIN = 0.7
"""How much further out than any film of the fitting parts a picture must be to be refused."""


def scores_of(gate: Gate, pictures: Sequence[Source]) -> NDArray[np.float64]:
    """Probabilities of good pictures, float64 [N, findings and turns]."""
    return np.array([gate.scores(source.pixels) for source in pictures])


def varied(pictures: Sequence[Source], times: int, seed: int) -> list[Source]:
    """Other films of the same kind: what a few films have by chance does not decide then."""
    random = np.random.default_rng(seed)
    return [Source(each.name, defects.vary(random, each.pixels)) for each in pictures for _ in range(times)]


def thresholds(
    films: NDArray[np.float64], others: NDArray[np.float64], knees: NDArray[np.float64]
) -> tuple[dict[str, float], float]:
    """Threshold of each finding, and that of being upright, from the scores of one part.

    Args:
        films: Scores of films as they are; all pass.
        others: Those of varied films.
        knees: Those of single knees.
    """
    several = ((others, VARIED_PASSED), (knees, PASSED))
    limits = np.max([films.max(axis=0), *(np.quantile(each, share, axis=0) for each, share in several)], axis=0)
    above = {name: _within(limits[index]) for index, name in enumerate(FINDINGS)}
    below = np.min([films.min(axis=0), *(np.quantile(each, 1 - share, axis=0) for each, share in several)], axis=0)
    above["knee"] = _within(below[0])
    return above, _within(below[len(FINDINGS)])


def _within(value: float) -> float:
    return round(float(np.clip(value, LOWEST, HIGHEST)), 3)


def measurements(pictures: Sequence[Source]) -> dict[str, NDArray[np.float64]]:
    """Values of good pictures by measurement, float64 [N] each."""
    measured = [measure(_content(source.pixels)) for source in pictures]
    return {name: np.array([getattr(each, name) for each in measured]) for name in Measurements.model_fields}


def _content(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left, height, width = content_box(pixels)
    return pixels[top : top + height, left : left + width]


def lower(values: NDArray[np.float64]) -> Limit:
    """Limits below good values."""
    return Limit(warn=round(float(np.quantile(values, 0.002)), 3), refuse=round(float(values.min()) * MARGIN, 3))


def upper(values: NDArray[np.float64]) -> Limit:
    """Limits above good levels of 0 to 255."""
    refuse = 255 - MARGIN * (255 - float(values.max()))
    return Limit(warn=round(float(np.quantile(values, 0.998)), 3), refuse=round(refuse, 3))
