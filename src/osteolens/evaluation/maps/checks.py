"""Four checks of Grad-CAM on films that the explained model never saw: is the heat map worth looking at?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Metric
from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.evaluation import measures
from osteolens.evaluation.maps import cascade as randomisation
from osteolens.evaluation.maps import curves as perturbation
from osteolens.evaluation.maps.curves import KINDS, ORDERS, SHARES
from osteolens.evaluation.maps.findings import Curve, Example, MapChecks, Region
from osteolens.evaluation.maps.regions import RULE, Mask, enlarged, find_regions, height_of_mass, share_of_mass
from osteolens.evaluation.maps.runs import Unseen, probabilities_of
from osteolens.evaluation.metrics import RESAMPLES, draw, sample
from osteolens.inference.calibration import calibrate
from osteolens.parameters import Temperature, VectorScaling

PERCENTILES = (10, 50, 90)
DRAWS = 3
"""Number of new weights per model, averaged: a single draw of a small head can resemble the trained one by luck."""
INTERVALS = f"means over films with 95 % percentile intervals from {RESAMPLES} bootstrap resamples of groups"
PROTOCOL = {
    "maps": "Each film is explained by a model that never saw it or its group, by Grad-CAM for the label that "
    f"it answers after the calibration of the shipped card. Figures are {INTERVALS}.",
    "curves": perturbation.RULE,
    "cascade": f"{randomisation.RULE} Mean of {DRAWS} draws per model.",
    "regions": RULE,
    "examples": f"For each true label, the films at the {', '.join(f'{part}th' for part in PERCENTILES)} percentile of "
    "the probability of that label; ties go by file name.",
}
REGIONS = {
    "outside": "outside the body",
    "markers": "on markers",
    "middle": "middle third of the film",
    "joint": "joint band",
}
_TINY = 1e-30  # least probability, as the logarithm of 0 is not finite

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Measured:
    """Measurements on N films.

    Attributes:
        films: N films.
        probabilities: [N, K], not calibrated.
        targets: [N], index of the answered label, which the map is for.
        curves: [N, 2, 3, steps + 1].
        cascade: By stage, [N].
        mass, area: By region, [N]; NaN where the film has no such region or its map is zero throughout.
        height: [N]; NaN where the map is zero throughout.
    """

    films: Sequence[Film]
    probabilities: Floats
    targets: NDArray[np.int64]
    curves: Floats
    cascade: dict[str, Floats]
    mass: dict[str, Floats]
    area: dict[str, Floats]
    height: Floats


def check_maps(
    parts: Sequence[Unseen],
    labels: Sequence[str],
    calibration: Temperature | VectorScaling | None,
    advance: Callable[[int], None] = lambda _: None,
) -> MapChecks:
    """Run all checks.

    Args:
        parts: Models, each with films that it never saw; no film twice.
        labels: The K classes in order.
        calibration: Calibration of the shipped card: it decides which label is answered, and that label is explained.
        advance: Called with the number of films that went through a model since the last call; `passes` is the sum.

    Raises:
        DataError: No film has a map.
    """
    measured = _together([_examine(part, seed, calibration, advance) for seed, part in enumerate(parts)])
    if np.isnan(measured.height).all():
        raise DataError(
            "every map is zero throughout, as no cell speaks for the answered label: nothing can be checked"
        )
    groups = [film.group for film in measured.films]
    areas = perturbation.areas(measured.curves)
    places = [(kind, order, i, j) for i, kind in enumerate(KINDS) for j, order in enumerate(ORDERS)]
    return MapChecks(
        films=len(groups),
        groups=len(set(groups)),
        flat=int(np.isnan(measured.height).sum()),
        shares=SHARES,
        curves=tuple(
            Curve(
                kind=kind,
                order=order,
                probability=tuple(measured.curves[:, i, j].mean(axis=0)),
                area=mean(f"{kind}, {order}", areas[:, i, j], groups),
            )
            for kind, order, i, j in places
        ),
        differences=tuple(
            mean(f"{kind}, map less {order}", areas[:, i, 0] - areas[:, i, j], groups)
            for kind, order, i, j in places
            if j
        ),
        cascade=tuple(mean(stage, values, groups) for stage, values in measured.cascade.items()),
        regions=tuple(
            _region(name, measured.mass[key], measured.area[key], groups)
            for key, name in REGIONS.items()
            if np.isfinite(measured.mass[key]).any()
        ),
        height=mean("height of the centre of mass", measured.height, groups),
        examples=choose_examples(measured.films, labels, measured.probabilities, measured.targets),
        protocol=PROTOCOL,
        served=True,
    )


def mean(name: str, values: Floats, groups: Sequence[str]) -> Metric:
    """Mean over films with a 95 % bootstrap interval over groups; NaN does not count.

    Args:
        name: The metric's name.
        values: float64 [N], at least one is not NaN.
        groups: [N].
    """
    known = np.isfinite(values)
    draws = draw(np.asarray(groups)[known].tolist(), RESAMPLES, seed=0)
    (metric,) = sample(lambda weights: {name: measures.mean(values[known], weights)}, draws).metrics()
    return metric


def choose_examples(
    films: Sequence[Film], labels: Sequence[str], probabilities: Floats, targets: NDArray[np.int64]
) -> tuple[Example, ...]:
    """Per label, the films at `PERCENTILES` of the probability of that label; ties go by file name."""
    chosen: list[Example] = []
    for index, label in enumerate(labels):
        of_label = [row for row, film in enumerate(films) if film.label == label]
        of_label.sort(key=lambda row: (probabilities[row, index], films[row].file))
        for percentile in PERCENTILES if of_label else ():
            row = of_label[round(percentile / 100 * (len(of_label) - 1))]
            chosen.append(
                Example(
                    file=films[row].file,
                    label=label,
                    percentile=percentile,
                    probability=float(probabilities[row, index]),
                    explained=labels[targets[row]],
                )
            )
    return tuple(chosen)


def passes(parts: Sequence[Unseen]) -> int:
    """Number of films that go through a model in `check_maps`."""
    return sum(
        len(part.films) * (perturbation.PASSES + DRAWS * len(randomisation.stages(part.model))) for part in parts
    )


def _examine(
    part: Unseen, number: int, calibration: Temperature | VectorScaling | None, advance: Callable[[int], None]
) -> _Measured:
    """Measure the films of one model, the `number`-th."""
    pictures = part.pictures
    probabilities = probabilities_of(part.model, pictures)
    answered = calibrate(np.log(np.maximum(probabilities, _TINY)), calibration).argmax(axis=1)
    targets = answered.tolist()
    maps = randomisation.grad_cam(part.model, pictures, targets)
    cascades: list[dict[str, Floats]] = []
    for seed in range(DRAWS * number, DRAWS * (number + 1)):  # no two models share a draw
        cascades.append(randomisation.cascade(part.model, pictures, maps, targets, seed))
        advance(len(cascades[-1]) * len(pictures))
    curves: list[Floats] = []
    for seed, (picture, heat, target) in enumerate(zip(pictures, maps, targets, strict=True)):
        curves.append(perturbation.curves(partial(probabilities_of, part.model), picture, heat, target, seed))
        advance(perturbation.PASSES)
    mass, area, height = _places(part, maps)
    return _Measured(
        films=part.films,
        probabilities=probabilities,
        targets=answered,
        curves=np.stack(curves),
        cascade={stage: np.mean([values[stage] for values in cascades], axis=0) for stage in cascades[0]},
        mass=mass,
        area=area,
        height=height,
    )


def _places(part: Unseen, maps: NDArray[np.float32]) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
    """Where each map lies: `mass`, `area` and `height` of `_Measured`."""
    height = np.full(len(maps), np.nan)
    mass, area = ({key: height.copy() for key in REGIONS} for _ in range(2))
    bands: Sequence[Mask | None] = part.bands or [None] * len(maps)
    for row, (film, heat, band) in enumerate(zip(part.prepared, maps, bands, strict=True)):
        if heat.max() == 0:
            continue
        large = enlarged(heat, film.geometry.input)
        height[row] = height_of_mass(large, film.geometry)
        for key, mask in vars(find_regions(film, band)).items():
            if mask.any():
                mass[key][row], area[key][row] = share_of_mass(large, mask), mask.mean()
    return mass, area, height


def _region(name: str, mass: Floats, area: Floats, groups: Sequence[str]) -> Region:
    return Region(
        name=name,
        films=int(np.isfinite(mass).sum()),
        mass=mean("share of the map", mass, groups),
        area=mean("share of the area", area, groups),
        difference=mean("map less area", mass - area, groups),
    )


def _together(parts: Sequence[_Measured]) -> _Measured:
    """Join the measurements of several models on different films."""

    def joined(name: str) -> dict[str, Floats]:
        return {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(parts[0], name)}

    return _Measured(
        films=[film for part in parts for film in part.films],
        probabilities=np.concatenate([part.probabilities for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        curves=np.concatenate([part.curves for part in parts]),
        cascade=joined("cascade"),
        mass=joined("mass"),
        area=joined("area"),
        height=np.concatenate([part.height for part in parts]),
    )
