"""A model recalibrated at a place: a new model folder whose card names its parent, and a page with before and after."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from osteolens.card import GRAPH_FILE, WEIGHTS_FILE, Card, Metric, load_card
from osteolens.console import print_sentence
from osteolens.datasets.fingerprints import TrainingFilms, look
from osteolens.errors import DataError
from osteolens.evaluation.evidence import Evidence
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.evaluation.recalibration import Recalibration, recalibrate, recalibrated_card
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.evaluation.served import opened
from osteolens.evidence import evidence_of
from osteolens.files import whole_folder, write_text
from osteolens.films.gate import GATE_FILES, find_gate
from osteolens.films.joints import copy_finder, finder_beside
from osteolens.inference.familiarity import FAMILIARITY_FILE
from osteolens.reports.figures import percent, signed
from osteolens.reports.figures_page import Row, Table, TextTable, write_figures_page
from osteolens.reports.hub_card import write_hub_card
from osteolens.reports.validation import Request, answer_unseen, films_for
from osteolens.reports.validation_page import comparison_table, key_metrics

PAGE_FILE, JSON_FILE = "report.html", "recalibration.json"
_SAME = (WEIGHTS_FILE, GRAPH_FILE, FAMILIARITY_FILE)
"""What a recalibration leaves as it is; the graph holds no number of the card."""


def recalibrate_at_site(request: Request, out: Path, console: Console, *, name: str = "", place: str = "") -> Card:
    """Fit a model's numbers again on labelled films, and write a model folder, a page and the figures into `out`.

    The films count as films that the new model has learned from.

    Args:
        request: The model, a folder or an archive, and the films.
        out: Gets `model/`, `report.html`, `recalibration.json` and `predictions.csv`.
        console: Where progress goes.
        name: Of the new model; default: its parent's.
        place: The films in words, for the card; default: the table's name.

    Returns:
        The new card.

    Raises:
        DataError: The films are wrong, too few, or some are among those that the model has learned from; `out` holds a
            model already.
        CardError, ExportError: A part of the model is missing or damaged.
    """
    if name and not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"the name {name!r} is not a lower-case word of letters, digits and _, such as knee_here")
    if (out / MODEL_FOLDER).exists():
        raise DataError(f"{out} holds a model already: take another --out")
    with opened(request.model, key_file=request.key_file) as model:
        if model.folder is None:
            raise DataError("a server does not give what its numbers are fitted on: name the model's folder or archive")
        checked = answer_unseen(model, films_for(model, request, console), request, console)
        with console.status("fitting"):
            recalibration = recalibrate(checked.answers)
        parent = load_card(model.folder)
        card = recalibrated_card(parent, recalibration, name=name or parent.name, place=place or request.source.name)
        out.mkdir(parents=True, exist_ok=True)
        table = recalibration.after.predictions
        table.write(out / PREDICTIONS_FILE)
        write_text(out / JSON_FILE, json.dumps(_dump(recalibration, checked.remarks), indent=2) + "\n")
        _write_page(out / PAGE_FILE, card, recalibration, checked.remarks)
        listed = model.training_films()
        with whole_folder(out / MODEL_FOLDER) as folder:  # last: it says that all is done
            gate = find_gate(model.folder)
            sources = [model.folder / name for name in _SAME] + [gate / name for name in GATE_FILES if gate]
            for source in filter(Path.is_file, sources):
                shutil.copyfile(source, folder / source.name)
            if finder := finder_beside(model.folder):
                copy_finder(finder, folder)
            fingerprints, _ = look([film.path for film in table.films])
            known = listed.fingerprints if listed else ()
            TrainingFilms([*known, *fingerprints], bool(listed and listed.complete)).write(folder)
            card.save(folder)
            write_hub_card(folder)
    return card


def _dump(recalibration: Recalibration, remarks: tuple[str, ...]) -> dict[str, object]:
    return {
        "remarks": list(remarks),
        "before": recalibration.before.dump(),
        "after": recalibration.after.dump(),
        "differences": [each.model_dump(mode="json") for each in recalibration.comparison.differences],
    }


def _write_page(out: Path, card: Card, recalibration: Recalibration, remarks: tuple[str, ...]) -> None:
    assert card.parent  # noqa: S101
    table = recalibration.after.predictions
    parent = f"{card.parent.name} {card.parent.version}"
    write_figures_page(
        out,
        recalibration.after,
        name=card.name,
        heading=f"{card.name} {card.version}: recalibrated on {card.parent.place}",
        summary=f"{evidence_of(card).leading} The figures are of answers of {parent} about {len(table.films)} films of "
        f"{len(set(table.groups))} groups, with calibration, operating points, T-score interval and fusions fitted "
        "again: each film's on the other fifths of the groups. The model folder has those fitted on all of them. The "
        "weights are the same.",
        facts=[("parent", parent), ("parent's card sha256", card.parent.card_sha256), ("films", card.parent.place)],
        remarks=remarks,
        tables=list(_tables(recalibration)),
    )


def _tables(recalibration: Recalibration) -> Iterator[Table | TextTable]:
    comparison = recalibration.comparison
    yield comparison_table("Before and after", (*comparison.theirs, *comparison.ours))
    yield Table(
        "",
        "Paired differences, after less before; an interval that contains 0 shows no difference",
        "Compared",
        [
            Row(f"{pair.predictor}, less {pair.baseline}", key_metrics(pair.metrics), paired=True)
            for pair in comparison.differences
        ],
    )
    rows = [
        (name, *(_text(metrics.get(name)) for metrics in (_rates(recalibration.before), _rates(recalibration.after))))
        for name in _rates(recalibration.before) | _rates(recalibration.after)
    ]
    if rows:
        yield TextTable(
            "Triage and T-score intervals, before and after",
            "All are meant to be 90 %",
            ("Rate", "before", "after"),
            rows,
        )


def _rates(evidence: Evidence) -> dict[str, Metric]:
    """What the thresholds reach, and how often the intervals hold."""
    rates = {f"{zones.predictor}: {metric.name}": metric for zones in evidence.triage for metric in zones.reached}
    return rates | {f"{each.predictor}: T-score interval holds": each.covered for each in evidence.coverage}


def _text(metric: Metric | None) -> str:
    return percent(metric) if metric else "none"


def show(out: Path, card: Card, console: Console) -> None:
    """Print what changed, and what to do next."""
    stored = json.loads((out / JSON_FILE).read_text(encoding="utf-8"))
    for pair in stored["differences"]:
        metrics = key_metrics([Metric.model_validate(metric) for metric in pair["metrics"]])
        for metric in metrics.values():
            print_sentence(console, f"{pair['predictor']}, less {pair['baseline']}, {metric.name}: {signed(metric)}")
    print_sentence(console, evidence_of(card).leading)
    for name, reason in (card.fitted_on.left_out if card.fitted_on else {}).items():
        print_sentence(console, f"no {name}: {reason}")
