"""A page of all that is known of a model's answers, in one HTML file, with the charts as PNGs beside it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteolens import __version__
from osteolens.card import Evaluation, Metric
from osteolens.evaluation.evidence import Evidence, Subgroup
from osteolens.evaluation.maps.findings import MapChecks
from osteolens.evaluation.metrics import questions
from osteolens.evaluation.predictors import IMAGE
from osteolens.evaluation.run_folder import Tried
from osteolens.files import whole, write_text
from osteolens.parameters import FittedOn
from osteolens.reports.charts import Chart, confusion_chart, predictor_charts, t_score_charts
from osteolens.reports.figures import (
    AGE_AND_SEX,
    FUSED,
    all_names,
    find,
    key_figures,
    percent,
    signed,
    tone_of_difference,
    with_interval,
)
from osteolens.reports.map_charts import Overlay, map_charts
from osteolens.reports.pages import render
from osteolens.reports.verdicts import of_another_label, reasons_for_no_triage, verdicts

FIGURES_FOLDER = "figures"
CSS_PIXELS = 100
"""Per inch of a chart, where there is room for it."""
_KINDS = {"sex": "sex", "age": "age", "family": "device family", "source": "source"}


@dataclass(frozen=True)
class Row:
    """A line of a table of figures."""

    title: str
    metrics: dict[str, Metric]
    paired: bool = False


@dataclass(frozen=True)
class Table:
    """A further table of figures, under a heading of its own unless that is empty.

    Attributes:
        heading: Above the table.
        caption: What it shows.
        first: Title of the first column.
        rows: Its lines.
        note: Below it.
    """

    heading: str
    caption: str
    first: str
    rows: Sequence[Row]
    note: str = ""

    @property
    def names(self) -> list[str]:
        """Of the figures, in the order of the rows."""
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))


@dataclass(frozen=True)
class TextTable:
    """A further table whose cells are texts; attributes as those of `Table`."""

    heading: str
    caption: str
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """A chart in the page."""

    url: str
    alt: str
    width: int


def write_figures_page(
    out: Path,
    evidence: Evidence,
    *,
    name: str,
    heading: str,
    summary: str,
    maps: MapChecks | None = None,
    facts: Sequence[tuple[str, str]] = (),
    tried: Tried | None = None,
    overlays: Mapping[str, Sequence[Overlay]] | None = None,
    no_overlays: str = "",
    configuration: str = "",
    remarks: Sequence[str] = (),
    tables: Sequence[Table | TextTable] = (),
) -> Path:
    """Write the page, and its charts into `figures/` beside it; returns the page's path.

    Args:
        out: The page.
        evidence: What it shows.
        name: The model's.
        heading: The page's.
        summary: What was answered by whom, in a sentence or two.
        maps: The checks of the heat maps, if they were made.
        facts: Further terms and their values.
        tried: What was tried before the settings were fixed.
        overlays: Example maps by label.
        no_overlays: Why there are none.
        configuration: The settings, as text.
        remarks: What a reader must know before the figures, in sentences.
        tables: Further tables of figures.
    """
    folder = out.parent / FIGURES_FOLDER
    pictures = {kind: [_show(chart, folder) for chart in charts] for kind, charts in _charts(evidence, maps).items()}
    page = render(
        "report.html",
        version=__version__,
        name=name,
        heading=heading,
        summary=summary,
        remarks=remarks,
        further=tables,
        labels=evidence.predictions.labels,
        verdicts=verdicts(evidence, maps),
        charts=pictures,
        maps=maps,
        other_label=of_another_label(evidence, maps) if maps else "",
        overlays=overlays or {},
        no_overlays=no_overlays,
        tried=tried,
        facts=[*facts, *_fitted_on(evidence.parameters.fitted_on)],
        configuration=configuration,
        **_tables(evidence),
        interval=with_interval,
        percent=percent,
        signed=signed,
        tone_of=tone_of_difference,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return out


def _charts(evidence: Evidence, maps: MapChecks | None) -> dict[str, list[Chart]]:
    named = {predictor.name: predictor for predictor in evidence.predictors}
    with_t_scores = [
        named[name] for name in (IMAGE, FUSED) if name in named and find(evidence.evaluations, name, "T-score MAE")
    ]
    return {
        "ranking": list(predictor_charts(evidence, questions(evidence.predictions.labels))),
        "confusion": [confusion_chart(evidence, named[name]) for name in (IMAGE, FUSED, AGE_AND_SEX) if name in named],
        "t_score": [chart for predictor in with_t_scores for chart in t_score_charts(evidence, predictor)],
        "maps": list(map_charts(maps)) if maps else [],
    }


def _show(chart: Chart, folder: Path) -> Shown:
    """Save a chart as a PNG, and put that into the page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{chart.name}.png"
    with whole(path) as draft:
        chart.figure.savefig(draft, dpi=150)
    # Inside the page as well, so that it can be sent to somebody as one file.
    content = base64.b64encode(path.read_bytes()).decode()
    width = round(CSS_PIXELS * chart.figure.get_figwidth())
    return Shown(f"data:image/png;base64,{content}", chart.alt, width)


def _tables(evidence: Evidence) -> dict[str, Any]:
    """The tables of figures."""
    names = all_names(evidence)
    key = key_figures(names)
    return {
        "predictors": [_row(evaluation.subject, evaluation) for evaluation in evidence.evaluations],
        "key_names": key,
        "all_names": names,
        "differences": [
            Row(f"{pair.predictor}, less {pair.baseline}", {m.name: m for m in pair.metrics}, paired=True)
            for pair in evidence.differences
        ],
        "difference_names": [name for name in key if name != "T-score Pearson r"],
        "ece_by_chance": evidence.ece_by_chance,
        "calibration": evidence.calibration,
        "coverage": evidence.coverage,
        "triage": evidence.triage,
        "no_triage": reasons_for_no_triage(evidence),
        "subgroups": _by_kind(evidence.subgroups),
        "sources": _by_source(evidence.per_source),
        "protocols": {evaluation.subject: evaluation.protocol for evaluation in evidence.evaluations},
    }


def _row(title: str, evaluation: Evaluation) -> Row:
    return Row(title, {metric.name: metric for metric in evaluation.metrics})


def _by_kind(subgroups: Sequence[Subgroup]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for group in subgroups:
        title = f"{group.value} ({group.evaluation.films} films)"
        rows.setdefault(_KINDS[group.kind], []).append(_row(title, group.evaluation))
    return rows


def _by_source(subgroups: Sequence[Subgroup]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    for group in subgroups:
        title = f"{group.value} ({group.evaluation.films} films)"
        rows.setdefault(title, []).append(_row(group.evaluation.subject, group.evaluation))
    return rows


def _fitted_on(fitted_on: FittedOn | None) -> list[tuple[str, str]]:
    """The films that the parameters of a single split rest on, and the parameters that they are too few for."""
    if fitted_on is None:
        return []
    rest_on = f"{fitted_on.films} {fitted_on.part} films of {fitted_on.groups} groups"
    return [("parameters fitted on", rest_on), *((f"no {name}", why) for name, why in fitted_on.left_out.items())]
