"""A finished model on labelled films of another place: answers to films that it does not know, figures and a page."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from osteolens import models
from osteolens.audit.run import films_in_common
from osteolens.card import load_card
from osteolens.console import print_sentence
from osteolens.datasets.films import Film, read_films
from osteolens.datasets.fingerprints import describe, look
from osteolens.errors import DataError
from osteolens.evaluation.answers import Answers
from osteolens.evaluation.external import HALF_WIDTH, Validation, compare, validate
from osteolens.evaluation.maps.checks import check_maps, passes
from osteolens.evaluation.maps.findings import MAPS_FILE, MapChecks
from osteolens.evaluation.maps.runs import unseen
from osteolens.evaluation.served import FinishedModel, opened
from osteolens.files import whole, write_text
from osteolens.films.joints import finder_of
from osteolens.reports.figures import signed, with_interval
from osteolens.reports.validation_page import key_metrics, write_validation_page
from osteolens.reports.verdicts import verdicts
from osteolens.schema import NO_FINDING

PAGE_FILE, ANSWERS_FILE, JSON_FILE = "report.html", "answers.csv", "validation.json"
NOT_RECORDED = (
    "The training films of this model are not recorded, so it is not known whether it has learned from some of these "
    "films, and its figures may show memory. Name the table that it was trained on (--trained-on) if there is one."
)


@dataclass(frozen=True)
class Request:
    """What to validate on which films.

    Attributes:
        model: Folder, archive or address, see `evaluation.served.opened`.
        source: The table or folder of labelled films.
        skip: Column of the table; rows where it is true are left out.
        other: Another model to compare with, named alike; empty for none.
        trained_on: The data set that the model was trained on, where it is at hand.
        leave_out: Leave films that the model has learned from out, with their groups, instead of refusing.
        map_films: Check the heat maps of at most so many films; 0 for none.
        half_width: Half of the interval's width that is wanted.
        key_file: TorchServe's key file.
    """

    model: str
    source: Path
    skip: str = ""
    other: str = ""
    trained_on: Path | None = None
    leave_out: bool = False
    map_films: int = 0
    half_width: float = HALF_WIDTH
    key_file: Path | None = None


@dataclass(frozen=True)
class Checked:
    """Answers about films that the model is not known to have learned from, and what a reader must know of that."""

    answers: Answers
    remarks: tuple[str, ...]


def validate_at_site(request: Request, out: Path, console: Console) -> Validation:
    """Answer the films, and write `report.html`, `answers.csv`, `validation.json` and, on request, `maps.json`.

    Raises:
        DataError: The films are wrong, too few, or some are among those that the model has learned from.
        CardError, ExportError: A part of the model is missing or damaged.
        ClientError: The server refuses, or is not there.
    """
    with opened(request.model, key_file=request.key_file) as model:
        films = films_for(model, request, console)
        if request.map_films and model.folder is None:
            raise DataError("a server does not give its weights: check heat maps on the model's folder or archive")
        checked = answer_unseen(model, films, request, console)
        maps = _maps(model, checked.answers, request.map_films, console) if request.map_films else None
    remarks = checked.remarks
    if request.other:
        with opened(request.other, key_file=request.key_file) as other:
            second = answer_unseen(other, list(checked.answers.predictions.films), request, console)
        remarks += tuple(f"{other.label}: {remark}" for remark in second.remarks)
    with console.status("computing figures"):
        validation = validate(checked.answers, half_width=request.half_width)
        if request.other:
            validation = replace(validation, comparison=compare(checked.answers, second.answers))
    out.mkdir(parents=True, exist_ok=True)
    if maps:
        maps.write(out / MAPS_FILE)
    write_answers(out / ANSWERS_FILE, validation.answers)
    dumped = {"table": str(request.source), "remarks": list(remarks)} | validation.dump()
    write_text(out / JSON_FILE, json.dumps(dumped, indent=2, ensure_ascii=False) + "\n")
    write_validation_page(out / PAGE_FILE, validation, request.source.name, maps, remarks)
    return validation


def films_for(model: FinishedModel, request: Request, console: Console) -> list[Film]:
    """The films of the table, or their knees for a model that reads each; a server tells so with its answers.

    Raises:
        DataError: The table is wrong.
    """
    each = model.folder is None or load_card(model.folder).preprocess.view == "each knee"
    return read_films(request.source, request.skip, notify=partial(print_sentence, console), knees=each)


def answer_unseen(model: FinishedModel, films: Sequence[Film], request: Request, console: Console) -> Checked:
    """The model's answers, once it is clear that it has not learned from the films.

    Raises:
        DataError: It has learned from some of them, and they are not to be left out; or no film is left.
    """
    answers = model.answer(films, console)
    films = answers.predictions.films
    paths = [film.path for film in films]
    listed = model.training_films()
    remarks: list[str] = []
    known: dict[int, str] = {}
    if listed:
        known = listed.recognise(*look(paths))
    if request.trained_on:
        known |= films_in_common(paths, request.trained_on, console)
    elif listed is None or not listed.complete:
        remarks.append(NOT_RECORDED)
    if known:
        sentence = f"{model.label} has learned from {describe(known, [film.file for film in films])}"
        groups = {films[number].group for number in known}
        rest = np.array([film.group not in groups for film in films])
        if not request.leave_out:
            raise DataError(
                f"{sentence}: its figures on them would show memory; take other films, or --leave-out to go on with "
                f"the {int(rest.sum())} films of other groups"
            )
        if not rest.any():
            raise DataError(f"{sentence}: no film of another group is left")
        remarks.append(
            f"{sentence}. These and all films of their groups were left out: {int(rest.sum())} films remain."
        )
        answers = answers.among(rest)
    if answers.unanswered:
        remarks.append(f"{len(answers.unanswered)} films have no answer, such as {answers.unanswered[0]}.")
    return Checked(answers, (*remarks, *answers.at_gate))


def _maps(model: FinishedModel, answers: Answers, limit: int, console: Console) -> MapChecks:
    assert model.folder  # noqa: S101
    network, card = models.load(model.folder)
    films = answers.predictions.films
    if len(films) > limit:
        drawn = np.random.default_rng(0).choice(len(films), limit, replace=False)
        films = [films[number] for number in sorted(drawn.tolist())]
    part = unseen(network, films, card.preprocess, finder_of(model.folder, card))
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(f"explaining {len(films)} films", total=passes([part]))
        return check_maps([part], card.labels, card.calibration, lambda count: bar.advance(task, count))


def write_answers(path: Path, answers: Answers) -> None:
    """Write one row per predictor and film: the finding, which is none where the model was not shown to know, first."""
    table = answers.predictions
    columns = ["predictor", "file", "group", "label", "t_score", "finding", "model_output"]
    columns += [f"probability_{label}" for label in table.labels]
    columns += ["t_score_predicted", "t_score_low", "t_score_high", "triage"]
    with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for predictor in answers.predictors:
            shown = answers.evidence.shows(predictor.name)
            for index, film in enumerate(table.films):
                shares = predictor.probabilities[0, index]
                numbers = [predictor.t_score[0, index], predictor.low[0, index], predictor.high[0, index]]
                row = [predictor.name, film.file, film.group, film.label, _cell(film.t_score)]
                label = table.labels[int(shares.argmax())]
                row += [label if shown else NO_FINDING, label, *map(_cell, shares), *map(_cell, numbers)]
                writer.writerow([*row, predictor.zone[0, index]])


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def show(validation: Validation, console: Console) -> None:
    """Print what the model's answers lead with, the verdicts and the key figures."""
    print_sentence(console, validation.answers.evidence.leading)
    for verdict in verdicts(validation.evidence, None):
        print_sentence(console, f"{verdict.question} {verdict.answer}. {verdict.reason}")
    evaluations = [*validation.evidence.evaluations[: len(validation.answers.predictors)], *validation.calibration]
    for each in evaluations:
        for metric in key_metrics(each.metrics).values():
            print_sentence(console, f"{each.subject}, {metric.name}: {with_interval(metric)}")
    if comparison := validation.comparison:
        for pair in comparison.differences:
            for metric in key_metrics(pair.metrics).values():
                print_sentence(console, f"{pair.predictor}, less {pair.baseline}, {metric.name}: {signed(metric)}")
