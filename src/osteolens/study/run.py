"""A study from a table to an archive; started again, it goes on where it stopped."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import osteolens
from osteolens import models
from osteolens.audit.data_set import read_data_set
from osteolens.audit.page import audit_page
from osteolens.audit.result import as_json
from osteolens.audit.rows import Naming
from osteolens.audit.run import JSON_FILE, PAGE_FILE, collect, examine, summarise
from osteolens.card import INT8_FILE, Card, load_card
from osteolens.console import print_sentence
from osteolens.datasets.films import Film, prepare_film
from osteolens.errors import CardError, ExportError, LeakFound
from osteolens.evaluation.run_folder import FACTS_FILE, MODEL_FOLDER
from osteolens.exporting.archive import build_archive
from osteolens.exporting.check import MAX_DIFFERENCE, MAX_MAP_DIFFERENCE, max_difference, max_map_difference
from osteolens.exporting.onnx import to_onnx
from osteolens.files import write_text
from osteolens.films.joints import finder_of
from osteolens.inference.runtimes import Prediction, load_runtime
from osteolens.reports.hub_card import write_hub_card
from osteolens.reports.run_page import write_report_page
from osteolens.study import tracking
from osteolens.study.plan import PLAN_FILE, page, steps
from osteolens.training import plan as folds
from osteolens.training.config import Configuration
from osteolens.training.cross_run import run as cross_validate
from osteolens.training.identity import digest

AUDIT, RUN, EXPORTS, STORE = "audit", "run", "exports", "model_store"
PARITY_FILE, STATE_FILE = "parity.json", "study.json"
CHECKOUT = Path(osteolens.__file__).parents[2]
"""Holds the handler that goes into an archive."""
STOPPING = frozenset({"same-picture-two-groups"})
"""Findings beside leaks that stop a study: a split by group would put the same film on both sides."""
_PARITY_FILMS = 16


def study(
    config: Configuration,
    source: Path,
    out: Path,
    *,
    name: str,
    folds_wanted: int,
    repeats: int,
    jobs: int,
    ensemble: bool,
    only_plan: bool,
    experiment: str,
    console: Console,
) -> Card | None:
    """Run all steps that are not done yet.

    Args:
        config: Settings of the training.
        source: The table or folder of films.
        out: The study's folder.
        name: The name that the model is served under.
        folds_wanted: Number of folds.
        repeats: How often the films are shuffled into folds.
        jobs: Folds trained at a time.
        ensemble: Ship the folds' models together instead of one trained on all films.
        only_plan: Write `plan.md` and stop.
        experiment: The experiment of MLflow that settings, figures and pages are logged to; empty for none.
        console: Where progress goes.

    Returns:
        The card of the finished model; None where only the plan was wanted.

    Raises:
        LeakFound: The audit found a leak.
        DataError: The table or the settings are wrong, or `out` holds the study of other films.
        TrainingError, ExportError: Training or export cannot go on.
    """
    if experiment:
        tracking.require(experiment)
    plan = folds.plan(config, source, folds=folds_wanted, repeats=repeats, table=None, by_source=False, console=console)
    out.mkdir(parents=True, exist_ok=True)
    identity = _identity(plan.films)
    with console.status("measuring how long it will take"):
        text = page(source, config, plan, steps(config, plan, ensemble=ensemble), _done(out, identity))
    write_text(out / PLAN_FILE, text)
    print_sentence(console, text)
    if only_plan:
        return None
    audit_films(source, plan.films, out, identity, console)
    card = cross_validate(
        config, source, out / RUN, name=name, folds=folds_wanted, repeats=repeats, table=None, by_source=False,
        jobs=jobs, ensemble=ensemble, console=console,
    )  # fmt: skip
    write_hub_card(out / RUN / MODEL_FOLDER)
    write_report_page(out / RUN)
    export(out / RUN / MODEL_FOLDER, out / EXPORTS)
    write_text(out / PARITY_FILE, json.dumps(parity(out, plan.films), indent=2) + "\n")
    archive, _ = build_archive(out / RUN / MODEL_FOLDER, out / EXPORTS, out / STORE, CHECKOUT)
    if experiment:
        tracking.log(experiment, config, card, [out / RUN / "report.html", out / AUDIT / PAGE_FILE, out / PARITY_FILE])
    print_sentence(console, f"{archive} is ready. Serve it: osteolens serve --model-store {out / STORE}")
    return card


def audit_films(source: Path, films: Sequence[Film], out: Path, identity: str, console: Console) -> None:
    """Audit the films that are trained on, unless these were audited before.

    Raises:
        LeakFound: Names the findings and the page.
    """
    if _audited(out) == identity:
        return
    data, used, folder = read_data_set(source, Naming()), {film.file for film in films}, out / AUDIT
    rows = tuple(row for row in data.rows if row.file in used)
    result = examine(collect(replace(data, rows=rows), None, console), ())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / JSON_FILE, json.dumps(as_json(result), indent=1, allow_nan=False) + "\n")
    write_text(folder / PAGE_FILE, audit_page(result))
    summarise(result, console)
    titles = [each.title for each in result.findings if each.severity == "leak" or each.kind in STOPPING]
    if titles:
        raise LeakFound(
            f"{' '.join(titles)} See {folder / PAGE_FILE}; correct the table, or name a column of rows to leave out as "
            "data.skip in the settings, and start again"
        )
    write_text(out / STATE_FILE, json.dumps({"audited": identity}) + "\n")


def export(model: Path, exports: Path) -> None:
    """Write the graph of a model folder, unless it is there."""
    try:
        load_runtime(exports, load_card(model), "onnx-fp32")
    except (CardError, ExportError):
        (exports / INT8_FILE).unlink(missing_ok=True)
        to_onnx(model, exports)


def parity(out: Path, films: Sequence[Film]) -> dict[str, float | int]:
    """The largest differences between graph and model on some films of the table.

    Raises:
        ExportError: One is larger than an export may have.
    """
    folder = out / RUN / MODEL_FOLDER
    model, card = models.load(folder)
    runtime = load_runtime(out / EXPORTS, card, "onnx-fp32")
    finder = finder_of(folder, card)
    chosen = films[:: max(1, len(films) // _PARITY_FILMS)]
    probability, heat_map, other = 0.0, 0.0, 0
    for film in chosen:
        array = prepare_film(film, card.preprocess, finder).array[None]
        with torch.no_grad():
            outputs = model.outputs(model.features(torch.from_numpy(array)))
        eager, graph = Prediction(*(output.numpy() for output in outputs)), runtime.predict(array)
        probability = max(probability, max_difference(eager, graph))
        heat_map = max(heat_map, max_map_difference(eager, graph))
        other += int(np.argmax(eager.logits) != np.argmax(graph.logits))
    if not (probability < MAX_DIFFERENCE and heat_map < MAX_MAP_DIFFERENCE):
        raise ExportError(
            f"the graph differs from the model by {probability:.2g} (allowed is {MAX_DIFFERENCE:g}), in heat maps by "
            f"{heat_map:.2g} (allowed is {MAX_MAP_DIFFERENCE:g}): delete {out / EXPORTS} and start again"
        )
    return {
        "films": len(chosen),
        "largest difference of a probability or T-score": probability,
        "largest difference of a heat map": heat_map,
        "films with another label": other,
    }


def _identity(films: Sequence[Film]) -> str:
    """What decides an audit: which files there are, as they are, with which labels and groups."""
    facts = []
    for film in films:
        status = film.path.stat()
        facts.append([film.file, film.label, film.group, status.st_size, status.st_mtime_ns])
    return digest(facts)


def _audited(out: Path) -> str:
    try:
        return str(json.loads((out / STATE_FILE).read_text(encoding="utf-8"))["audited"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _done(out: Path, identity: str) -> set[str]:
    """Steps that will not be run again, as far as it can be told before."""
    if _audited(out) != identity:
        return set()
    return {"audit", *(["cross-validation"] if (out / RUN / FACTS_FILE).is_file() else [])}
