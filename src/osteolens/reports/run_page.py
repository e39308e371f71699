"""The page of a run, report.html: all figures of its model in one HTML file, with the charts as PNGs beside it."""

import json
from collections.abc import Iterable
from pathlib import Path

from osteolens.card import CARD_FILE, load_card
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.maps.findings import MAPS_FILE
from osteolens.evaluation.maps.runs import model_folder, unseen_films
from osteolens.evaluation.run_folder import MODEL_FOLDER, RunFolder, read_run
from osteolens.evidence import evidence_of
from osteolens.reports.figures_page import write_figures_page
from osteolens.reports.map_charts import Overlay, overlays

PAGE_FILE = "report.html"


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
    sheet, no_sheet = _sheet(run, data)
    return write_figures_page(
        out or folder / PAGE_FILE,
        evidence,
        name=run.name,
        heading=f"{run.name}: figures and evidence",
        summary=f"{_leading(run)}{_summary(run)}",
        maps=run.maps,
        facts=_facts(run),
        tried=run.tried,
        overlays=sheet,
        no_overlays=no_sheet,
        configuration=json.dumps(run.facts["configuration"], indent=2) if "configuration" in run.facts else "",
    )


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


def _leading(run: RunFolder) -> str:
    """What the answers of the run's model lead with; empty where no model is beside its predictions."""
    folder = run.folder / MODEL_FOLDER
    return f"{evidence_of(load_card(folder)).leading} " if (folder / CARD_FILE).is_file() else ""


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


def _joined(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts if part)
