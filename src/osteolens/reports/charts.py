"""Charts of a predictor's answers, one panel each, so that a page can set them side by side or below each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from osteolens.evaluation.evidence import Evidence, Predictor
from osteolens.evaluation.metrics import Question
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.predictors import IMAGE, own_films
from osteolens.reports.chart_values import GRID, Curve, band, calibration_bins, precision_recall, roc
from osteolens.reports.figures import find, slug, with_interval

# Okabe and Ito's colours, which colour-blind readers can tell apart; styles differ too, for print in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5f5f5f"
LABEL_COLOURS = ("#56B4E9", "#E69F00", "#D55E00", "#CC79A7", "#0072B2", "#5f5f5f")
LABEL_MARKERS = ("o", "s", "^", "D", "v", "P")
_FAMILIES = ((IMAGE, BLUE, "-"), ("image + age and sex", ORANGE, "--"), ("baseline: age and sex", GREY, ":"))


@dataclass(frozen=True)
class Chart:
    """A figure, with its text for readers who cannot see it."""

    name: str
    title: str
    alt: str
    figure: Figure


def panel(title: str, x: str, y: str, size: tuple[float, float] = (4.8, 4.2)) -> tuple[Figure, Axes]:
    """An empty chart."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def predictor_charts(evidence: Evidence, questions: Sequence[Question]) -> Iterator[Chart]:
    """ROC of each question, then precision and recall, then calibration."""
    for chart in (roc_chart, precision_recall_chart, calibration_chart):
        for question in questions:
            yield chart(evidence, question)


def roc_chart(evidence: Evidence, question: Question) -> Chart:
    """True against false positives: the image, what it gives with age and sex, and these alone."""
    figure, axes = panel(f"ROC: {question.name}", "1 - specificity", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    areas = _draw_curves(axes, evidence, question, roc, "AUROC")
    axes.legend(loc="lower right", title="AUROC", fontsize=8)
    alt = f"ROC curves for {question.name}, with 95 % bands. AUROC: {areas}; chance is 0.50."
    return Chart(f"roc_{slug(question.name)}", f"ROC, {question.name}", alt, figure)


def precision_recall_chart(evidence: Evidence, question: Question) -> Chart:
    """Precision against recall; chance is the share of positive films."""
    figure, axes = panel(f"Precision and recall: {question.name}", "Recall (sensitivity)", "Precision")
    share = float(question.truth(evidence.predictions.truth).mean())
    axes.axhline(share, color=GREY, linewidth=0.8)
    axes.set_ylim(0, 1.03)  # a little above 1, so that a perfect curve is not hidden by the frame
    areas = _draw_curves(axes, evidence, question, precision_recall, "average precision")
    axes.legend(loc="best", title="Average precision", fontsize=8)
    alt = (
        f"Precision-recall curves for {question.name}, with 95 % bands. Average precision: {areas}; chance is the "
        f"share of such films, {share:.2f}."
    )
    return Chart(f"precision_recall_{slug(question.name)}", f"Precision and recall, {question.name}", alt, figure)


def calibration_chart(evidence: Evidence, question: Question) -> Chart:
    """Predicted against observed shares."""
    figure, axes = panel(f"Calibration: {question.name}", "Predicted probability", "Observed share of films")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    pairs: list[str] = []
    # Shifted a little sideways: the error bars of three predictors would hide each other.
    for (predictor, colour, style), shift in zip(_shown(evidence), (0, 0.006, -0.006), strict=False):
        bins = calibration_bins(*on_own_films(evidence.predictions, predictor), question)
        observed = [each.observed for each in bins]
        middle = np.array([metric.value for metric in observed])
        ends = np.abs(np.array([[metric.low for metric in observed], [metric.high for metric in observed]]) - middle)
        axes.errorbar(
            np.array([each.predicted for each in bins]) + shift, middle, ends, color=colour, linestyle=style,
            marker=".", capsize=2, linewidth=1, label=predictor.name,
        )  # fmt: skip
        if predictor.name == IMAGE:
            pairs = [f"{each.predicted:.2f} predicted, {each.observed.value:.2f} observed" for each in bins]
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left", fontsize=8)
    alt = f"Calibration for {question.name}, 95 % intervals. Image, by bins of equally many films: {'; '.join(pairs)}."
    return Chart(f"calibration_{slug(question.name)}", f"Calibration, {question.name}", alt, figure)


def confusion_chart(evidence: Evidence, predictor: Predictor) -> Chart:
    """Films by true and predicted label, mean over repeats; shaded by the share of the true label."""
    labels, counts = evidence.predictions.labels, confusion(evidence, predictor)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.2 + 0.8 * len(labels)
    figure, axes = panel(predictor.name, "Predicted", "True", (side, side))
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]:.4g}\n{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if share > 0.6 else "black")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels, rotation=90, va="center")
    rows = (
        f"{label}: {', '.join(f'{count:.4g} as {name}' for name, count in zip(labels, row, strict=True))}"
        for label, row in zip(labels, counts, strict=True)
    )
    alt = f"Confusion matrix of {predictor.name}, films (mean over repeats) by true label. {'. '.join(rows)}."
    return Chart(f"confusion_{slug(predictor.name)}", f"Confusion matrix, {predictor.name}", alt, figure)


def t_score_charts(evidence: Evidence, predictor: Predictor) -> Iterator[Chart]:
    """Measured against predicted T-scores, and their differences (Bland and Altman 1986)."""
    predictions, predictor = on_own_films(evidence.predictions, predictor)
    predicted = predictor.t_score.mean(axis=0)
    known = np.isfinite(predicted) & np.isfinite(predictions.measured)
    predicted, measured, truth = predicted[known], predictions.measured[known], predictions.truth[known]
    named = {
        name: metric
        for name in ("bias", "lower limit of agreement", "upper limit of agreement", "MAE", "Pearson r")
        if (metric := find(evidence.evaluations, predictor.name, f"T-score {name}"))
    }
    figure, axes = panel(f"T-score: {predictor.name}", "Measured", "Predicted (mean over repeats)")
    ends = min(measured.min(), predicted.min()) - 0.2, max(measured.max(), predicted.max()) + 0.2
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    _scatter(axes, measured, predicted, truth, predictions.labels)
    figures = ", ".join(f"{name} {with_interval(named[name])}" for name in ("MAE", "Pearson r") if name in named)
    alt = f"Predicted against measured T-scores of {known.sum()} films, {predictor.name}: {figures}."
    yield Chart(f"t_score_{slug(predictor.name)}", f"T-score, {predictor.name}", alt, figure)

    figure, axes = panel(f"Agreement: {predictor.name}", "Mean of measured and predicted", "Predicted less measured")
    limits = [named[name] for name in ("bias", "lower limit of agreement", "upper limit of agreement")]
    for metric, style in zip(limits, ("-", "--", "--"), strict=True):
        axes.axhline(metric.value, color=GREY, linestyle=style, linewidth=1)
        axes.axhspan(metric.low, metric.high, color=GREY, alpha=0.12, linewidth=0)
    _scatter(axes, (predicted + measured) / 2, predicted - measured, truth, predictions.labels)
    alt = (
        f"Bland-Altman plot of {predictor.name}: bias {with_interval(limits[0])}, 95 % limits of agreement "
        f"{with_interval(limits[1])} and {with_interval(limits[2])}."
    )
    yield Chart(f"agreement_{slug(predictor.name)}", f"Bland-Altman, {predictor.name}", alt, figure)


def on_own_films(predictions: Predictions, predictor: Predictor) -> tuple[Predictions, Predictor]:
    """Films that a predictor's figures are of, and its answers to them."""
    own = own_films(predictions, predictor.name)
    return predictions.among(own), predictor.among(own)


def confusion(evidence: Evidence, predictor: Predictor) -> NDArray[np.float64]:
    """Films by true label (rows) and predicted label, mean over repeats: [K, K]."""
    predictions, predictor = on_own_films(evidence.predictions, predictor)
    count = len(predictions.labels)
    cells = predictions.truth * count + predictor.probabilities.argmax(axis=2)
    counts = [np.bincount(row, minlength=count**2).reshape(count, count) for row in cells]
    return np.asarray(np.mean(counts, axis=0))


def _draw_curves(axes: Axes, evidence: Evidence, question: Question, curve: Curve, area_name: str) -> str:
    """Curves with bands of all predictors shown; returns their areas as text."""
    areas: list[str] = []
    for predictor, colour, style in _shown(evidence):
        area = find(evidence.evaluations, predictor.name, f"{area_name} {question.name}")
        if area is None:  # a class without films
            continue
        interval = band(curve, *on_own_films(evidence.predictions, predictor), question)
        axes.fill_between(GRID, interval.low, interval.high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(GRID, interval.value, color=colour, linestyle=style, label=f"{predictor.name}: {area.value:.2f}")
        areas.append(f"{predictor.name} {with_interval(area)}")
    return "; ".join(areas)


def _shown(evidence: Evidence) -> Iterator[tuple[Predictor, str, str]]:
    named = {predictor.name: predictor for predictor in evidence.predictors}
    return ((named[name], colour, style) for name, colour, style in _FAMILIES if name in named)


def _scatter(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], truth: NDArray[np.int64], labels: Sequence[str]
) -> None:
    for index, label in enumerate(labels):
        colour, marker = LABEL_COLOURS[index % 6], LABEL_MARKERS[index % 6]
        axes.scatter(x[truth == index], y[truth == index], s=16, alpha=0.75, color=colour, marker=marker, label=label)
    axes.legend(fontsize=8)
