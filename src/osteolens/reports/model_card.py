"""The pages about all shipped models, MODEL_CARD.md and evidence/README.md, and the check of all generated pages."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from osteolens.card import BEYOND_ACQUISITION, Metric
from osteolens.errors import CardError, DataError
from osteolens.evaluation.predictors import ACQUISITION, IMAGE, MAJORITY
from osteolens.evaluation.run_folder import TRIED_FILE, read_tried
from osteolens.labels import OSTEOPENIA_BELOW, OSTEOPOROSIS_AT
from osteolens.reports import model_page
from osteolens.reports.figures import AGE_AND_SEX, FUSED, find, percent, table, with_interval
from osteolens.reports.pages import render
from osteolens.reports.shipped import EVIDENCE, WEIGHTS, Model, disagreements, gather
from osteolens.reports.verdicts import verdicts

HEADLINES = ("AUROC osteoporosis vs rest", "quadratic-weighted kappa", "T-score MAE")
_PREDICTORS = {
    "image alone": IMAGE,
    "age and sex alone": AGE_AND_SEX,
    "image with age and sex": FUSED,
    "acquisition alone": ACQUISITION,
    "image beyond acquisition": BEYOND_ACQUISITION,
    "no information": MAJORITY,
}
POSTER_FILE = "poster.json"
_POSTER_COLUMNS = (
    "protocol", "architecture", "films (groups)", "accuracy", "balanced accuracy",
    "always the most frequent label", "epoch",
)  # fmt: skip
# Percentages count too: `85 %` is a rounded share, `170 films` is not.
_ROUNDED = re.compile(r"[-+]?\d+\.\d+|\d+(?= %)")


def documents(root: Path, models: Sequence[Model]) -> dict[str, str]:
    """All generated pages: text by path from the root of the checkout."""
    pages = {f"{WEIGHTS}/{model.card.name}/README.md": model_page.page(root, model) for model in models}
    return {
        "MODEL_CARD.md": model_card(models),
        **pages,
        f"{EVIDENCE}/README.md": evidence_page(root / EVIDENCE),
    }


def model_card(models: Sequence[Model]) -> str:
    """The text of MODEL_CARD.md."""
    cards = [model.card for model in models]
    text = render(
        "model_card.md",
        cards=cards,
        controls=[model.card.name for model in models if model.is_control],
        headline=_headline(models),
        verdicts=_verdict_table(models),
        data=dict.fromkeys((card.data.name, card.data.source, card.data.licence) for card in cards),
        osteopenia=OSTEOPENIA_BELOW,
        osteoporosis=OSTEOPOROSIS_AT,
    )
    return f"{text}\n"


def check(root: Path) -> None:
    """Compare the generated pages and the cards with what the stored predictions give.

    Raises:
        CardError: Something disagrees; the message says what, and which command writes it again.
    """
    models = gather(root)
    problems = disagreements(models)
    for name, text in documents(root, models).items():
        if not (root / name).is_file() or not same_text((root / name).read_text(encoding="utf-8"), text):
            problems.append(f"{name} disagrees with {WEIGHTS}/ and {EVIDENCE}/: run python train/model_card.py")
    if problems:
        raise CardError("; ".join(problems))


def same_text(written: str, computed: str) -> bool:
    """Whether two pages agree but for the last digit of rounded numbers, which differs between processors."""
    if _ROUNDED.sub("#", written) != _ROUNDED.sub("#", computed):
        return False
    pairs = zip(_ROUNDED.findall(written), _ROUNDED.findall(computed), strict=True)
    # One unit of the last digit, and a hundredth more, as floats of two decimals do not differ by exactly 0.01.
    return all(abs(float(a) - float(b)) < 1.01 * 10 ** -len(a.partition(".")[2]) for a, b in pairs)


def _headline(models: Sequence[Model]) -> str:
    """A few figures of each model beside its baselines."""
    rows = []
    for model in models:
        for name in HEADLINES:
            metrics = [find(model.evaluations, predictor, name) for predictor in _PREDICTORS.values()]
            if metrics[0] is not None:
                *cells, constant = ["-" if metric is None else with_interval(metric) for metric in metrics]
                # Constant scores rank nothing, so the evidence has no such figure.
                rows.append([_link(model), name, *cells, "0.50" if name.startswith("AUROC") else constant])
    return table(["model", "figure", *_PREDICTORS], rows)


def _verdict_table(models: Sequence[Model]) -> str:
    """A reader's questions by rows, models by columns."""
    answers = {
        _link(model): {verdict.question: verdict.answer for verdict in verdicts(model.evidence, model.run.maps)}
        for model in models
        if model.evidence and model.run
    }
    questions = dict.fromkeys(question for answered in answers.values() for question in answered)
    rows = [[question, *(answered.get(question, "-") for answered in answers.values())] for question in questions]
    return table(["question", *answers], rows) if rows else ""


def _link(model: Model) -> str:
    return f"[`{model.card.name}`]({WEIGHTS}/{model.card.name}/README.md)"


def evidence_page(evidence: Path) -> str:
    """The text of evidence/README.md: the poster's figures, what was tried, the reporting checklists.

    A table whose file is missing is left out.
    """
    return render("evidence.md", poster=_poster(evidence / POSTER_FILE), tried=_tried(evidence / TRIED_FILE)) + "\n"


def _poster(path: Path) -> dict[str, object] | None:
    """Figures that a student poster measured on the same pictures, beside those without leaks."""
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_bytes())
        stated = ", ".join(f"{share:.1%} ({name})" for name, share in document["stated by the poster"].items())
        rows = [_poster_row(result) for result in document["results"]]
        return {"stated": stated, "table": table(_POSTER_COLUMNS, rows), "sentences": document["sentences"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not what train/poster_protocol.py writes: {error!r}") from error


def _poster_row(result: dict[str, Any]) -> list[str]:
    accuracy, balanced = (Metric.model_validate(result[name]) for name in ("accuracy", "balanced_accuracy"))
    return [
        result["title"],
        f"`{result['architecture']}`",
        f"{result['films']} ({result['groups']})",
        percent(accuracy, 1),
        percent(balanced, 1),
        f"{result['majority']:.1%}",
        str(result["epoch"]),
    ]


def _tried(path: Path) -> str:
    """The log of what was tried, as a table."""
    if not path.exists():
        return ""
    tried = read_tried(path)
    return table(tried.columns, tried.rows)
