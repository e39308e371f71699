"""A benchmark as a picture: who answers how fast."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from osteolens.bench.results import Measurement, Results
from osteolens.bench.show import panels
from osteolens.files import whole

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = (
    ("eager", "#8c8c8c"),
    ("torch", "#0072B2"),
    ("onnx", "#D55E00"),
    ("openvino", "#009E73"),
    ("server", "#0072B2"),
)
_DARK, _PALE = "#333333", 0.5
_ROW_INCHES, _PANEL_INCHES, _WIDTH_INCHES, _TITLE_INCHES = 0.3, 1.0, 6.6, 0.7
_DPI = 150


def draw(results: Results, path: Path) -> None:
    """Write a PNG: a panel per model, scope and thread count, in each the medians in order with the 95th percentile."""
    groups = panels(results)
    columns = min(2, len(groups))
    rows = math.ceil(len(groups) / columns)
    longest = max(len(group) for group in groups.values())
    height = (_PANEL_INCHES + _ROW_INCHES * longest) * rows + _TITLE_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES * columns, height), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (panel, group) in zip(places, groups.items(), strict=False):
        _draw_panel(axes, panel, group)
    for axes in places[len(groups) :]:
        axes.set_visible(False)
    figure.suptitle(_title(results), fontsize=11)
    with whole(path) as draft:
        figure.savefig(draft, dpi=_DPI)


def _title(results: Results) -> str:
    machine = results.machine
    lines = [
        "Milliseconds a call: median (95th percentile); pale: without a heat map",
        f"{machine.cpu}, {machine.cores} cores" + ("; take care, see the warnings" if results.warnings else ""),
    ]
    return "\n".join(lines)


def _draw_panel(axes: Axes, panel: str, group: Sequence[Measurement]) -> None:
    for row, measurement in enumerate(group):
        strength = _PALE if measurement.case.heat_map == "none" else 1.0
        axes.barh(row, measurement.p50_ms, height=0.72, color=_colour(measurement.case.backend), alpha=strength)
        axes.plot([measurement.p50_ms, measurement.p95_ms], [row, row], color=_DARK, linewidth=1)
        axes.plot(measurement.p95_ms, row, "|", color=_DARK, markersize=8)
        axes.annotate(
            f"{_digits(measurement.p50_ms)} ({_digits(measurement.p95_ms)})",
            (max(measurement.p50_ms, measurement.p95_ms), row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(group)), [measurement.case.label for measurement in group])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(measurement.p95_ms for measurement in group))
    axes.set_title(panel, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("ms")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _colour(backend: str) -> str:
    return next(colour for start, colour in _COLOURS if backend.startswith(start))
