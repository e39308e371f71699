"""Charts of the checks of heat maps, and the sheet of example maps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.evaluation.maps.cascade import grad_cam
from osteolens.evaluation.maps.curves import KINDS
from osteolens.evaluation.maps.findings import Example, MapChecks
from osteolens.evaluation.maps.regions import enlarged, height_of_mass
from osteolens.evaluation.maps.runs import Unseen, film_path
from osteolens.films import overlay
from osteolens.films.prepare import Geometry
from osteolens.films.read import read
from osteolens.reports.charts import BLUE, GREEN, GREY, ORANGE, Chart, panel
from osteolens.reports.figures import signed, with_interval
from osteolens.reports.pages import picture_url

_STYLES = {"map": (BLUE, "-"), "random": (GREY, ":"), "centre": (ORANGE, "--")}
_BETTER = {"deletion": "lower is better", "insertion": "higher is better"}


@dataclass(frozen=True)
class Overlay:
    """A film of the example sheet under its map."""

    example: Example
    url: str
    alt: str


def map_charts(checks: MapChecks) -> Iterator[Chart]:
    """Deletion, insertion, and how far the maps still correlate when weights are randomised (Adebayo et al. 2018)."""
    for kind in KINDS:
        figure, axes = panel(f"{kind.capitalize()} ({_BETTER[kind]})", f"Share of pixels: {kind}", "Probability")
        curves = [curve for curve in checks.curves if curve.kind == kind]
        for curve in curves:
            colour, style = _STYLES[curve.order]
            label = f"{curve.order}: {curve.area.value:.3f}"
            axes.plot(checks.shares, curve.probability, color=colour, linestyle=style, label=label)
        axes.set_ylim(bottom=0)
        axes.legend(title="Area", fontsize=8)
        areas = "; ".join(f"{curve.order} {with_interval(curve.area, 3)}" for curve in curves)
        paired = "; ".join(f"{m.name} {signed(m)}" for m in checks.differences if m.name.startswith(kind))
        alt = f"{kind.capitalize()} curves, {_BETTER[kind]}. Areas: {areas}. Paired differences: {paired}."
        yield Chart(f"maps_{kind}", f"{kind.capitalize()} curves", alt, figure)
    yield _cascade_chart(checks)


def _cascade_chart(checks: MapChecks) -> Chart:
    figure, axes = panel("Weights randomised, from the heads down", "", "Correlation with the original map")
    values = np.array([metric.value for metric in checks.cascade])
    ends = np.abs(np.array([[m.low for m in checks.cascade], [m.high for m in checks.cascade]]) - values)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.errorbar(range(len(values)), values, ends, color=GREEN, marker="o", capsize=3)
    # From a little below 0, so that a correlation near 0 (the wanted result) does not lie on the frame.
    axes.set_ylim(min(-0.1, float((values - ends[0]).min()) - 0.05), 1)
    axes.set_xticks(range(len(values)), [metric.name for metric in checks.cascade], rotation=60, ha="right", fontsize=8)
    stages = "; ".join(f"after {metric.name} {with_interval(metric)}" for metric in checks.cascade)
    alt = f"Spearman's correlation of the maps with those of randomised models, nearer to 0 is better: {stages}."
    return Chart("maps_cascade", "Cascading randomisation", alt, figure)


def overlays(parts: Sequence[Unseen], data: Path, labels: Sequence[str], examples: Sequence[Example]) -> list[Overlay]:
    """The example films under the maps of the models that never saw them.

    Args:
        parts: Models with these films, from `osteolens.evaluation.maps.runs.unseen_films`.
        data: The table or folder of films.
        labels: The K classes in order.
        examples: From `MapChecks`.
    """
    places = {film.file: (part, row) for part in parts for row, film in enumerate(part.films)}
    drawn: list[Overlay] = []
    for example in examples:
        part, row = places[example.file]
        film, prepared = part.films[row], part.prepared[row]
        heat = grad_cam(part.model, prepared.array[None], [labels.index(example.explained)])[0]
        levels, _ = overlay.map_on_film(heat, prepared.geometry)
        height, width = levels.shape
        below = Image.fromarray(read(film_path(film, data)).pixels).resize((width, height))
        overlaid = Image.alpha_composite(below.convert("RGBA"), overlay.layer(levels)).convert("RGB")
        alt = (
            f"{example.file}: a film labelled {example.label} under its heat map for {example.explained}. "
            f"Centre of mass of the map at {_height(heat, prepared.geometry)} of the film's height."
        )
        drawn.append(Overlay(example, picture_url(np.asarray(overlaid)), alt))
    return drawn


def _height(heat: NDArray[np.float32], geometry: Geometry) -> str:
    if heat.max() == 0:
        return "no part"
    return f"{height_of_mass(enlarged(heat, geometry.input), geometry):.0%}"
