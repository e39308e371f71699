"""A model's page beside its weights, weights/NAME/README.md: what it is, on whose films, how well it does."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from osteolens.card import Difference, Evaluation, Metric, file_sha256
from osteolens.datasets.films import Film
from osteolens.evaluation.evidence import Evidence, Subgroup, Triage
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions
from osteolens.evaluation.predictors import IMAGE
from osteolens.inference.calibration import describe_parameters
from osteolens.reports.charts import confusion
from osteolens.reports.figures import key_figures, percent, signed, table, with_interval, without_empty
from osteolens.reports.pages import render
from osteolens.reports.shipped import EVIDENCE, Model
from osteolens.reports.verdicts import of_another_label, reasons_for_no_triage, verdicts
from osteolens.training.config import Configuration, load_configuration

CONFIGURATIONS = "train/configs"
WORST = 5
"""Wrong answers that are listed."""
_UNKNOWN = "CONFIG"
_SETTINGS = ("model", "preprocess", "augment", "optimisation", "run")


def page(root: Path, model: Model) -> str:
    """The text of the page.

    Args:
        root: The checkout: its `train/configs/` may hold the model's settings.
        model: A shipped model.
    """
    card, run, evidence = model.card, model.run, model.evidence
    maps = run.maps if run else None
    # The template groups nothing itself: Jinja's `groupby` would sort the sources by name.
    sources: dict[str, list[Evaluation]] = {}
    for part in evidence.per_source if evidence else ():
        sources.setdefault(part.value, []).append(part.evaluation)
    text = render(
        "model_page.md",
        model=model,
        card=card,
        run=run,
        facts=run.facts if run else {},
        evidence=evidence,
        maps=maps,
        verdicts=verdicts(evidence, maps) if evidence and run else (),
        no_triage=reasons_for_no_triage(evidence) if evidence else (),
        other_label=of_another_label(evidence, maps) if evidence and maps else "",
        partitions=", ".join(
            f"{count} {part} ({card.data.groups[part]} groups)" for part, count in card.data.films.items()
        ),
        facts_table=_facts_table(model),
        settings=_settings(model),
        config=_settings_file(root, model),
        sources=sources,
        films_table=_films_table,
        side_by_side=_side_by_side,
        differences_table=_differences_table,
        subgroups_table=_subgroups_table,
        zones_table=_zones_table,
        confusion_table=_confusion_table,
        wrong_answers=_wrong_answers,
        sentence=_sentence,
        percent=percent,
        signed=signed,
        with_interval=with_interval,
    )
    return f"{text}\n"


def _facts_table(model: Model) -> str:
    """Facts about the model and its training, a row each."""
    card, facts = model.card, model.run.facts if model.run else {}
    spec = card.preprocess
    members = f" of {', '.join(f'`{member}`' for member in card.members)}" if card.members else ""
    seconds = facts.get("seconds")
    rows = [
        ("architecture", f"`{card.architecture}`{members}; {spec.height} x {spec.width} pixels, one grey channel"),
        ("answers", f"{', '.join(card.labels)}{'; T-score' if card.has_t_score else ''}"),
        ("trained on", f"{card.data.name} ({card.data.source}; {card.data.licence})"),
        *describe_parameters(card),
        ("time to train", f"{seconds / 60:.0f} minutes, all folds" if seconds else ""),
        ("software", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())),
        ("stored predictions", _stored(model)),
        ("licence of the weights", card.licence),
        ("sha256 of the weights", f"`{card.weights_sha256}`"),
    ]
    return table(["", ""], [row for row in rows if row[1]])


def _stored(model: Model) -> str:
    """The table's hash, so that no number in it can change without this page."""
    if model.run is None:
        return ""
    path = model.run.folder / PREDICTIONS_FILE
    return f"`{EVIDENCE}/{model.run.folder.name}/{PREDICTIONS_FILE}`, sha256 `{file_sha256(path)}`"


def _settings(model: Model) -> str:
    """The settings of the run as JSON, one line per section; empty where they were not recorded."""
    recorded = model.run.facts.get("configuration", {}) if model.run else {}
    if not all(recorded.get(section) for section in _SETTINGS):
        return ""
    return "{\n" + ",\n".join(f'  "{section}": {json.dumps(recorded[section])}' for section in _SETTINGS) + "\n}"


def _settings_file(root: Path, model: Model) -> str:
    """The file with a model's settings: those its run recorded, or of its name, or the only one for its data."""
    known = {
        path.relative_to(root).as_posix(): load_configuration(path)
        for path in sorted((root / CONFIGURATIONS).glob("*.toml"))
    }
    recorded = model.run.facts.get("configuration") if model.run else None
    if recorded:  # validated, so that a setting added since then has its default
        settings = Configuration.model_validate(recorded)
        return next((path for path, other in known.items() if other == settings), _UNKNOWN)
    fitting = [path for path, other in known.items() if other.dataset.name == model.card.data.name]
    fitting = [path for path in fitting if Path(path).stem == model.card.name] or fitting
    return fitting[0] if len(fitting) == 1 else _UNKNOWN


def _films_table(predictions: Predictions) -> str:
    """The patients by label."""
    rows = [_films_row(label, [f for f in predictions.films if f.label == label]) for label in predictions.labels]
    rows.append(_films_row("all", predictions.films))
    columns = ("label", "films", "groups", "median age (youngest to oldest)", "female", "mean T-score")
    return without_empty(columns, rows)


def _films_row(label: str, films: Sequence[Film]) -> list[str]:
    ages = [film.age for film in films if math.isfinite(film.age)]
    sexes = [film.sex for film in films if film.sex]
    measured = [film.t_score for film in films if math.isfinite(film.t_score)]
    return [
        label,
        str(len(films)),
        str(len({film.group for film in films})),
        f"{median(ages):.0f} ({min(ages):.0f} to {max(ages):.0f})" if ages else "-",
        f"{sexes.count('female') / len(sexes):.0%}" if sexes else "-",
        f"{sum(measured) / len(measured):.2f}" if measured else "-",
    ]


def _side_by_side(evaluations: Sequence[Evaluation]) -> str:
    """Figures by rows, what was measured by columns."""
    columns = [{metric.name: metric for metric in evaluation.metrics} for evaluation in evaluations]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(_cell(column.get(name)) for column in columns)] for name in names]
    return table(["", *(evaluation.subject for evaluation in evaluations)], rows)


def _differences_table(differences: Sequence[Difference]) -> str:
    """Pairs of predictors by rows, the differences of the key figures by columns."""
    names = _key_names(difference.metrics for difference in differences)
    rows = []
    for pair in differences:
        named = {metric.name: signed(metric) for metric in pair.metrics}
        rows.append([f"{pair.predictor}, less {pair.baseline}", *(named.get(name, "-") for name in names)])
    return table(["", *names], rows)


def _subgroups_table(subgroups: Sequence[Subgroup]) -> str:
    """Sex, age band or device family by rows, the key figures of the image by columns."""
    names = _key_names(part.evaluation.metrics for part in subgroups)
    rows = []
    for part in subgroups:
        named = {metric.name: metric for metric in part.evaluation.metrics}
        cells = (_cell(named.get(name)) for name in names)
        rows.append([f"{part.kind}: {part.value}", str(part.evaluation.films), *cells])
    return table(["", "films", *names], rows)


def _key_names(metrics: Iterable[Sequence[Metric]]) -> list[str]:
    return key_figures(list(dict.fromkeys(metric.name for each in metrics for metric in each)))


def _zones_table(zones: Triage, labels: Sequence[str]) -> str:
    """Films by triage zone (rows) and label."""
    rows = [
        [zone, *(f"{counts[label]:.4g}" for label in labels), percent(zones.ill[zone]) if zone in zones.ill else "-"]
        for zone, counts in zones.counts.items()
    ]
    return table(["zone", *labels, f"share of {zones.label}"], rows)


def _confusion_table(evidence: Evidence) -> str:
    """Films by true label (rows) and answer of the image, mean over repeats."""
    image = next(predictor for predictor in evidence.predictors if predictor.name == IMAGE)
    labels = evidence.predictions.labels
    counts = confusion(evidence, image)
    rows = [[label, *(f"{count:.4g}" for count in row)] for label, row in zip(labels, counts, strict=True)]
    return table(["", *labels], rows)


def _wrong_answers(evidence: Evidence) -> str:
    """The wrong answers of the image with the highest probability; empty where all are right."""
    image = next(predictor for predictor in evidence.predictors if predictor.name == IMAGE)
    labels, films = evidence.predictions.labels, evidence.predictions.films
    probabilities = image.probabilities.mean(axis=0)
    answers, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = [int(row) for row in np.flatnonzero(answers != evidence.predictions.truth)]
    # By name where probabilities are equal, so that the page is the same on every machine.
    wrong.sort(key=lambda row: (-highest[row], films[row].file))
    rows = [
        [
            f"`{films[row].file}`",
            films[row].label,
            f"{films[row].t_score:.2f}" if math.isfinite(films[row].t_score) else "-",
            labels[answers[row]],
            f"{highest[row]:.2f}",
        ]
        for row in wrong[:WORST]
    ]
    return without_empty(("film", "label", "T-score", "answer", "probability"), rows) if rows else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _cell(metric: Metric | None) -> str:
    return with_interval(metric) if metric else "-"
