"""Figures of a shipped card, computed again from the stored predictions without this library's evaluation."""

import csv
import json
from collections.abc import Iterator
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import pearsonr
from sklearn import metrics
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).parents[2]
LABELS = ("normal", "osteopenia", "osteoporosis")
Floats = NDArray[np.float64]


class Table:
    """The stored predictions of one repeat."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        def column(name: str) -> Floats:
            return np.array([float(row[name] or "nan") for row in rows])

        self.fold, self.truth = column("fold"), np.array([LABELS.index(row["label"]) for row in rows])
        self.group = np.array([row["group"] for row in rows])
        self.family = np.array([row["family"] for row in rows])
        self.logits = np.stack([column(f"logit_{label}") for label in LABELS], axis=1)
        self.measured, self.t_score = column("t_score"), column("t_score_predicted")
        sexes = sorted({row["sex"] for row in rows})
        self.facts = np.column_stack([column("age"), *([row["sex"] == sex for row in rows] for sex in sexes)])
        self.taken = np.column_stack([column(name) for name in rows[0] if name.startswith("acquisition_")])
        self.has_facts = np.isfinite(column("age"))


@cache
def stored(name: str) -> list[Table]:
    with (ROOT / "evidence" / name / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [Table([row for row in rows if row["repeat"] == repeat]) for repeat in ("0", "1")]


def together(name: str) -> list[Table]:
    """The mean answers of both repeats as one table, in the folds of the first: an ensemble's."""
    first, second = map(copy, stored(name))
    first.logits = np.log((softmax(first.logits, axis=1) + softmax(second.logits, axis=1)) / 2)
    first.t_score = (first.t_score + second.t_score) / 2
    return [first]


def card(name: str) -> dict[str, dict[str, dict[str, float]]]:
    document = json.loads((ROOT / "weights" / name / "card.json").read_text())
    return {each["subject"]: {m["name"]: m for m in each["metrics"]} for each in document["evaluations"]}


def calibrated(logits: Floats, truth: NDArray[np.int64], others: Floats, method: str) -> Floats:
    """Probabilities of `others` by a calibration that is fitted on logits and truth."""
    x, target = log_softmax(logits, axis=1), np.eye(3)[truth]

    def scale(values: Floats, parameters: Floats) -> Floats:
        return values * parameters[0] if method == "temperature" else values * parameters[:3] + parameters[3:]

    start = np.ones(1) if method == "temperature" else np.concatenate([np.ones(3), np.zeros(3)])
    bounds = [(0.02, 20)] if method == "temperature" else [(0.02, 20)] * 3 + [(-20, 20)] * 3
    fitted = minimize(
        lambda p: -(target * log_softmax(scale(x, p), axis=1)).sum(axis=1).mean(), start, bounds=bounds,
        method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-10},
    ).x  # fmt: skip
    return softmax(scale(log_softmax(others, axis=1), fitted), axis=1)


@cache
def image(table: Table) -> Floats:
    """Each fold calibrated on the others, by the method with the lower log-loss across these."""
    shares = np.zeros((len(table.truth), 3))
    for fold in np.unique(table.fold):
        rest = table.fold != fold
        losses = {}
        for method in ("temperature", "vector"):
            inner = np.zeros_like(shares)
            for part in np.unique(table.fold[rest]):
                fit, held = rest & (table.fold != part), table.fold == part
                inner[held] = calibrated(table.logits[fit], table.truth[fit], table.logits[held], method)
            losses[method] = metrics.log_loss(table.truth[rest], inner[rest], labels=range(3))
        best = min(losses, key=losses.__getitem__)
        shares[~rest] = calibrated(table.logits[rest], table.truth[rest], table.logits[~rest], best)
    return shares


def regression(table: Table, inputs: Floats) -> tuple[Floats, Floats]:
    """Probabilities and T-scores of each fold, by regressions on the others."""
    shares, scores = np.zeros((len(table.truth), 3)), np.zeros(len(table.truth))
    for fold in np.unique(table.fold):
        fit, held = table.fold != fold, table.fold == fold
        ready = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        shares[held] = (
            make_pipeline(ready, LogisticRegression(max_iter=5000)).fit(inputs[fit], table.truth[fit])
        ).predict_proba(inputs[held])
        known = fit & np.isfinite(table.measured)
        scores[held] = make_pipeline(ready, Ridge()).fit(inputs[known], table.measured[known]).predict(inputs[held])
    return shares, scores


def figures(table: Table, shares: Floats, t_score: Floats, own: NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """The card's figures by scikit-learn, scipy, and loops."""
    truth, shares, fold, family = table.truth[own], shares[own], table.fold[own], table.family[own]
    predicted = shares.argmax(axis=1)
    yield "accuracy", metrics.accuracy_score(truth, predicted)
    yield "balanced accuracy", metrics.balanced_accuracy_score(truth, predicted)
    yield "macro-F1", metrics.f1_score(truth, predicted, average="macro")
    for k in (0, 2):
        score, positive = shares[:, k], truth == k
        yield f"AUROC {LABELS[k]} vs rest", metrics.roc_auc_score(positive, score)
        yield f"average precision {LABELS[k]} vs rest", metrics.average_precision_score(positive, score)
        for name, strata in (("folds", fold), ("families", family)):
            wins = [
                (score[i] > score[j]) + 0.5 * (score[i] == score[j])
                for i in np.flatnonzero(positive) for j in np.flatnonzero(~positive & (strata == strata[i]))
            ]  # fmt: skip
            yield f"AUROC within {name} {LABELS[k]} vs rest", float(np.mean(wins))
    for k, label in enumerate(LABELS):
        yield f"sensitivity {label}", metrics.recall_score(truth == k, predicted == k)
        yield f"specificity {label}", metrics.recall_score(truth != k, predicted != k)
    yield "quadratic-weighted kappa", metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
    yield "Brier score", float(((shares - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
    confidence, right = shares.max(axis=1), predicted == truth
    gaps, excess = [], []
    for number in range(10):
        inside = (confidence >= number / 10) & (confidence < number / 10 + 0.1)
        if inside.sum() > 0:
            gap = right[inside].mean() - confidence[inside].mean()
            gaps.append(inside.sum() * abs(gap))
        if inside.sum() > 1:
            excess.append(inside.sum() * (gap**2 - right[inside].var() / (inside.sum() - 1)))
    yield "ECE", sum(gaps) / len(truth)
    yield "calibration error, debiased", float(np.sqrt(max(0, sum(excess) / len(truth))))
    known = np.isfinite(table.measured[own])
    error = (t_score[own] - table.measured[own])[known]
    yield "T-score MAE", metrics.mean_absolute_error(table.measured[own][known], t_score[own][known])
    yield "T-score Pearson r", pearsonr(table.measured[own][known], t_score[own][known]).statistic
    yield "T-score bias", error.mean()
    yield "T-score lower limit of agreement", error.mean() - 1.96 * error.std(ddof=1)
    yield "T-score upper limit of agreement", error.mean() + 1.96 * error.std(ddof=1)


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("efficientnet", "image"), ("efficientnet", "baseline: age and sex"), ("efficientnet", "baseline: acquisition"),
        ("yolov5", "image"), ("knee", "image"),
    ],
)  # fmt: skip
def test_every_figure_is_that_of_another_implementation(name: str, subject: str) -> None:
    values: list[dict[str, float]] = []
    for table in together(name) if name == "knee" else stored(name):
        everyone = np.ones(len(table.truth), bool)
        if subject == "image":
            values.append(dict(figures(table, image(table), table.t_score, everyone)))
        elif "age" in subject:
            values.append(dict(figures(table, *regression(table, table.facts), table.has_facts)))
        else:
            values.append(dict(figures(table, *regression(table, table.taken), everyone)))
    shown = card(name)[subject]
    assert shown.keys() == values[0].keys()
    for figure, metric in shown.items():
        assert np.mean([value[figure] for value in values]) == pytest.approx(metric["value"], abs=2e-3), figure


@pytest.mark.parametrize("name", ["efficientnet", "yolov5", "knee"])
def test_the_fused_label_is_that_of_a_regression_on_age_and_sex_alone(name: str) -> None:
    """Each fold's fusion is fitted on the others' films that have both facts, and none takes the picture in."""
    values: list[dict[str, float]] = []
    for table in together(name) if name == "knee" else stored(name):
        inputs, shares = table.facts[:, [0, -1]], np.zeros((len(table.truth), 3))
        for fold in np.unique(table.fold):
            fit, held = (part & table.has_facts for part in (table.fold != fold, table.fold == fold))
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
            shares[held] = model.fit(inputs[fit], table.truth[fit]).predict_proba(inputs[held])
        values.append(dict(figures(table, shares, table.t_score, table.has_facts)))
    shown = card(name)["image + age and sex"]
    of_labels = [figure for figure in values[0] if "T-score" not in figure]  # the T-score's fusion chooses by itself
    assert len(of_labels) > 20
    for figure in of_labels:
        assert np.mean([value[figure] for value in values]) == pytest.approx(shown[figure]["value"], abs=2e-3), figure


@pytest.mark.parametrize("name", ["efficientnet", "knee"])
def test_the_difference_from_age_and_sex_is_of_the_same_groups_drawn_one_by_one(name: str) -> None:
    """What decides `beats_age_and_sex`: AUROC of the image less that of age and sex, on films that have these facts."""
    tables, random = together(name) if name == "knee" else stored(name), np.random.default_rng(6)
    scores = [(image(table)[:, 2], regression(table, table.facts)[0][:, 2]) for table in tables]
    groups = np.unique(tables[0].group)
    places = {group: np.flatnonzero((tables[0].group == group) & tables[0].has_facts) for group in groups}

    def difference(rows: NDArray[np.int64]) -> float:
        return float(np.mean([
            metrics.roc_auc_score(table.truth[rows] == 2, ours[rows])
            - metrics.roc_auc_score(table.truth[rows] == 2, theirs[rows])
            for table, (ours, theirs) in zip(tables, scores, strict=True)
        ]))  # fmt: skip

    drawn = [
        difference(np.concatenate([places[group] for group in random.choice(groups, len(groups))])) for _ in range(300)
    ]
    document = json.loads((ROOT / "weights" / name / "card.json").read_text())
    [pair] = [each for each in document["differences"] if each["predictor"] == "image"]
    [shown] = [metric for metric in pair["metrics"] if metric["name"] == "AUROC osteoporosis vs rest"]
    assert difference(np.concatenate([*places.values()])) == pytest.approx(shown["value"], abs=5e-3)
    assert np.percentile(drawn, (2.5, 97.5)) == pytest.approx([shown["low"], shown["high"]], abs=0.03)


def test_intervals_are_those_of_groups_drawn_one_by_one() -> None:
    tables = stored("efficientnet")
    areas, random = [], np.random.default_rng(5)
    shares = [regression(table, table.facts)[0][:, 2] for table in tables]
    groups = np.unique(tables[0].group)
    places = {group: np.flatnonzero((tables[0].group == group) & tables[0].has_facts) for group in groups}
    for _ in range(300):
        rows = np.concatenate([places[group] for group in random.choice(groups, len(groups))])
        pairs = [(table.truth[rows] == 2, score[rows]) for table, score in zip(tables, shares, strict=True)]
        areas.append(np.mean([metrics.roc_auc_score(*pair) for pair in pairs]))
    shown = card("efficientnet")["baseline: age and sex"]["AUROC osteoporosis vs rest"]
    assert np.percentile(areas, (2.5, 97.5)) == pytest.approx([shown["low"], shown["high"]], abs=0.02)


def test_the_image_beyond_acquisition_is_that_of_another_implementation() -> None:
    shown = card("efficientnet")["image beyond acquisition"]
    for k in (0, 2):
        areas = []
        for table in stored("efficientnet"):
            count = len(table.truth)
            taken = table.taken[:, np.ptp(table.taken, axis=0) > 0]
            inputs = np.column_stack([normal_scores(column) for column in taken.T])
            score = normal_scores(image(table)[:, k])
            fit = make_pipeline(StandardScaler(), Ridge(alpha=1e-9)).fit(inputs, score)
            areas.append(metrics.roc_auc_score(table.truth == k, score - fit.predict(inputs)))
            assert count == 170
        assert np.mean(areas) == pytest.approx(shown[f"AUROC {LABELS[k]} vs rest"]["value"], abs=5e-3)


def normal_scores(values: Floats) -> Floats:
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)))
