"""Findings about heat maps, made up."""

from collections.abc import Sequence

from osteolens.card import Metric
from osteolens.evaluation.maps.checks import PROTOCOL
from osteolens.evaluation.maps.curves import KINDS, ORDERS, SHARES
from osteolens.evaluation.maps.findings import Curve, Example, MapChecks, Region


def metric(name: str, low: float, high: float) -> Metric:
    return Metric(name=name, value=(low + high) / 2, low=low, high=high)


def map_checks(files: Sequence[str] = ("0.png", "1.png"), label: str = "normal") -> MapChecks:
    """Maps that pass every check; the files are the examples, all of one label."""
    region = Region(
        name="outside the body",
        films=9,
        mass=metric("share of the map", 0.1, 0.2),
        area=metric("share of the area", 0.4, 0.5),
        difference=metric("map less area", -0.4, -0.2),
    )
    places = [(kind, order) for kind in KINDS for order in ORDERS]
    return MapChecks(
        films=10,
        groups=9,
        flat=1,
        shares=SHARES,
        curves=tuple(
            Curve(kind=kind, order=order, probability=(0.5,) * len(SHARES), area=metric(f"{kind}, {order}", 0.4, 0.6))
            for kind, order in places
        ),
        differences=tuple(
            metric(f"{kind}, map less {order}", *((-0.2, -0.1) if kind == "deletion" else (0.1, 0.2)))
            for kind, order in places
            if order != "map"
        ),
        cascade=(metric("heads", 0.4, 0.6), metric("stem", -0.1, 0.1)),
        regions=(region,),
        height=metric("height of the centre of mass", 0.4, 0.5),
        examples=tuple(
            Example(file=file, label=label, percentile=percentile, probability=0.5, explained=label)
            for file, percentile in zip(files, (10, 90), strict=False)
        ),
        protocol=PROTOCOL,
        served=True,
    )
