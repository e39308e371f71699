"""The page of a run, report.html: all figures of its model in one HTML file, with the charts as PNGs beside it."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteolens import __version__
from osteolens.card import Evaluation, Metric
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.evidence import Evidence, Subgroup
from osteolens.evaluation.maps.findings import MAPS_FILE
from osteolens.evaluation.maps.runs import model_folder, unseen_films
from osteolens.evaluation.metrics import questions
from osteolens.evaluation.predictors import IMAGE
from osteolens.evaluation.run_folder import RunFolder, read_run
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
from osteolens.reports.map_charts import Overlay, map_charts, overlays
from osteolens.reports.pages import render
from osteolens.reports.verdicts import of_another_label, reasons_for_no_triage, verdicts

PAGE_FILE, FIGURES_FOLDER = "report.html", "figures"
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
class Shown:
    """A chart in the page."""

    url: str
    alt: str
    width: int


def write_report_page(folder: Path, out: Path | None = None, data: Path | None = None) -> Path:
    """Evaluate a run's stored predictions and write its page.

    Args:
        folder: A run, or a folder of evidence/.
        out: The page; default `report.html` in the run. The charts go into `figures/` beside it.
        data: The table or folder of films, for the sheet of example maps; the page then holds films.

    Returns:
        The page's path.

    Raises:
        DataError: The run, its table or a film is missing.
    """
    run = read_run(folder)
    if data is not None and not data.exists():
        raise DataError(f"there is no table or folder of films {data}")
    evidence = evaluate(run.predictions, ensemble=run.ensemble)
    out = out or folder / PAGE_FILE
    charts = _charts(run, evidence)
    pictures = {name: [_show(chart, out.parent / FIGURES_FOLDER) for chart in group] for name, group in charts.items()}
    sheet, no_sheet = _sheet(run, data)
    page = render(
        "report.html",
        version=__version__,
        name=run.name,
        summary=_summary(run),
        labels=run.predictions.labels,
        verdicts=verdicts(evidence, run.maps),
        charts=pictures,
        maps=run.maps,
        other_label=of_another_label(evidence, run.maps) if run.maps else "",
        overlays=sheet,
        no_overlays=no_sheet,
        tried=run.tried,
        facts=[*_facts(run), *_fitted_on(evidence.parameters.fitted_on)],
        configuration=json.dumps(run.facts["configuration"], indent=2) if "configuration" in run.facts else "",
        **_tables(evidence),
        interval=with_interval,
        percent=percent,
        signed=signed,
        tone_of=tone_of_difference,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
    return out


def _charts(run: RunFolder, evidence: Evidence) -> dict[str, list[Chart]]:
    named = {predictor.name: predictor for predictor in evidence.predictors}
    with_t_scores = [
        named[name] for name in (IMAGE, FUSED) if name in named and find(evidence.evaluations, name, "T-score MAE")
    ]
    return {
        "ranking": list(predictor_charts(evidence, questions(run.predictions.labels))),
        "confusion": [confusion_chart(evidence, named[name]) for name in (IMAGE, FUSED, AGE_AND_SEX) if name in named],
        "t_score": [chart for predictor in with_t_scores for chart in t_score_charts(evidence, predictor)],
        "maps": list(map_charts(run.maps)) if run.maps else [],
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


def _sheet(run: RunFolder, data: Path | None) -> tuple[dict[str, list[Overlay]], str]:
    """The example maps by label; or why there are none."""
    if run.maps is None:
        return {}, ""
    if data is None:
        return {}, "The sheet of example maps is shown when the page is made with --data."
    files = {example.file for example in run.maps.examples}
    unknown = sorted(files - {film.file for film in run.predictions.films})
    if unknown:
        raise DataError(f"{run.folder / MAPS_FILE} is about other films than the predictions, such as {unknown[0]}")
    folders = {model_folder(run.folder, int(fold), run.predictions) for fold in run.predictions.fold[0]}
    missing = sorted(str(folder) for folder in folders if not folder.is_dir())
    if missing:
        return {}, f"There is no sheet of example maps: it needs the models of the folds, such as {missing[0]}."
    drawn = overlays(unseen_films([run.folder], data, files), data, run.predictions.labels, run.maps.examples)
    return {label: [each for each in drawn if each.example.label == label] for label in run.predictions.labels}, ""


def _summary(run: RunFolder) -> str:
    films, groups = len(run.predictions.films), len(set(run.predictions.groups))
    folds, repeats = int(run.predictions.fold.max()) + 1, len(run.predictions.fold)
    how = f"{folds} folds, shuffled {repeats} times" if folds > 1 else "a single split"
    truth = [film.label for film in run.predictions.films]
    counts = (f"{label}: {truth.count(label)}" for label in run.predictions.labels)
    return (
        f"Answers about {films} films of {groups} groups ({', '.join(counts)}), each by a model that had not seen the "
        f"film or its group ({how})."
    )


def _facts(run: RunFolder) -> list[tuple[str, str]]:
    """The run in terms and values, without those that are unknown."""
    facts = run.facts
    dataset = facts.get("dataset", {})
    terms = {
        "model": facts.get("name"),
        "architecture": facts.get("architecture"),
        "data": _joined([dataset.get(key) for key in ("name", "source", "licence")]),
        "split": facts.get("split"),
        "films, groups": _joined([facts.get("films"), facts.get("groups")]),
        "folds, repeats": _joined([facts.get("folds"), facts.get("repeats")]),
        "time to train": f"{facts['seconds'] / 60:.0f} minutes" if "seconds" in facts else None,
        "versions": _joined(f"{name} {version}" for name, version in facts.get("versions", {}).items()),
        "written": facts.get("written"),
    }
    return [(term, str(value)) for term, value in terms.items() if value]


def _fitted_on(fitted_on: FittedOn | None) -> list[tuple[str, str]]:
    """The films that the parameters of a single split rest on, and the parameters that they are too few for."""
    if fitted_on is None:
        return []
    rest_on = f"{fitted_on.films} {fitted_on.part} films of {fitted_on.groups} groups"
    return [("parameters fitted on", rest_on), *((f"no {name}", why) for name, why in fitted_on.left_out.items())]


def _joined(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts if part)
