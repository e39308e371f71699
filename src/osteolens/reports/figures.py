"""Figures of an evaluation: looked up by name, judged better or worse, and written as text and Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Literal

from osteolens.card import Evaluation, Metric
from osteolens.evaluation.evidence import Evidence
from osteolens.evidence import AGE_AND_SEX as AGE_AND_SEX

FUSED = "image + age and sex"
KEY_FIGURES = ("balanced accuracy", "quadratic-weighted kappa", "ECE", "T-score MAE", "T-score Pearson r")
"""Shown beside the AUROCs; the other figures are in the long table."""
_LOWER_IS_BETTER = ("ECE", "calibration error, debiased", "Brier score", "T-score MAE")
_NEITHER = ("T-score bias", "T-score l", "T-score u", "T-score s", "calibration in", "calibration slope", "observed ")
"""Beginnings of the names of figures whose best value lies between too low and too high."""

Tone = Literal["good", "mixed", "bad"]


def find(evaluations: Iterable[Evaluation], predictor: str, name: str) -> Metric | None:
    """A figure of a predictor by name; None where it is not defined."""
    metrics = (metric for each in evaluations if each.subject == predictor for metric in each.metrics)
    return next((metric for metric in metrics if metric.name == name), None)


def all_names(evidence: Evidence) -> list[str]:
    """The names of all figures, in order."""
    return list(dict.fromkeys(metric.name for evaluation in evidence.evaluations for metric in evaluation.metrics))


def key_figures(names: Sequence[str]) -> list[str]:
    """The figures that come first: the AUROCs and `KEY_FIGURES`."""
    return [*(name for name in names if name.startswith("AUROC")), *(name for name in KEY_FIGURES if name in names)]


def tone_of_difference(metric: Metric) -> Tone:
    """`good` where the interval of a difference lies wholly on the better side of 0, `bad` on the worse."""
    # An error that falls is an improvement: with its sign turned, above 0 means better for every figure.
    low, high = (-metric.high, -metric.low) if metric.name in _LOWER_IS_BETTER else (metric.low, metric.high)
    if metric.name.startswith(_NEITHER) or low <= 0 <= high:
        return "mixed"
    return "good" if low > 0 else "bad"


def with_interval(metric: Metric, digits: int = 2) -> str:
    """Value and interval, such as `0.81 (0.72 to 0.89)`."""
    return f"{metric.value:.{digits}f} ({metric.low:.{digits}f} to {metric.high:.{digits}f})"


def percent(metric: Metric, digits: int = 0) -> str:
    """A share, such as `81 % (72 % to 89 %)`."""
    value, low, high = (f"{100 * share:.{digits}f} %" for share in (metric.value, metric.low, metric.high))
    return f"{value} ({low} to {high})"


def signed(metric: Metric, digits: int = 3) -> str:
    """A difference, such as `+0.031 (-0.012 to +0.074)`."""
    return f"{metric.value:+.{digits}f} ({metric.low:+.{digits}f} to {metric.high:+.{digits}f})"


def slug(text: str) -> str:
    """A text as part of a file's name."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    # chr(92) is the backslash, which an f-string of Python 3.11 cannot hold inside its braces.
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def without_empty(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table without the columns in which there are only dashes."""
    filled = [index for index in range(len(columns)) if any(row[index] != "-" for row in rows)]
    return table([columns[index] for index in filled], [[row[index] for index in filled] for row in rows])
