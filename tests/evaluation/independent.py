"""A second implementation of the evaluation by scikit-learn, scipy and loops, from the stored predictions alone."""

import csv
import json
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import norm, pearsonr, rankdata
from sklearn import metrics
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).parents[2]
LABELS = ("normal", "osteopenia", "osteoporosis")
LEVEL = 0.9
ZONES = ("refer", "uncertain", "low suspicion")
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Table:
    """The stored predictions of one repeat."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        def column(name: str) -> Floats:
            return np.array([float(row[name] or "nan") for row in rows])

        def words(name: str) -> NDArray[np.str_]:
            return np.array([row[name] for row in rows])

        self.fold, self.truth = column("fold"), np.array([LABELS.index(row["label"]) for row in rows])
        self.group, self.family, self.sex, self.age = words("group"), words("family"), words("sex"), column("age")
        self.logits = np.stack([column(f"logit_{label}") for label in LABELS], axis=1)
        self.measured, self.t_score = column("t_score"), column("t_score_predicted")
        sexes = np.column_stack([self.sex == sex for sex in sorted(set(self.sex))])
        body = [column("weight_kg"), column("height_m")]
        self.facts = {
            "age and sex": np.column_stack([self.age, sexes]),
            "age, sex, weight and height": np.column_stack([self.age, *body, sexes]),
        }
        # A fusion takes a woman as 1 and a man as 0.
        woman = np.select([self.sex == "female", self.sex == "male"], [1.0, 0.0], np.nan)
        self.fused_facts = {
            "age and sex": np.column_stack([self.age, woman]),
            "age, sex, weight and height": np.column_stack([self.age, woman, *body]),
        }
        self.taken = np.column_stack([column(name) for name in rows[0] if name.startswith("acquisition_")])

    def has(self, facts: str) -> Flags:
        """Films with all of these facts, bool [N]."""
        return np.isfinite(self.fused_facts[facts]).all(axis=1)


@cache
def stored(name: str) -> list[Table]:
    with (ROOT / "evidence" / name / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [Table([row for row in rows if row["repeat"] == repeat]) for repeat in ("0", "1")]


@cache
def together(name: str) -> list[Table]:
    """The mean answers of both repeats as one table, in the folds of the first: an ensemble's."""
    first, second = map(copy, stored(name))
    first.logits = np.log((softmax(first.logits, axis=1) + softmax(second.logits, axis=1)) / 2)
    first.t_score = (first.t_score + second.t_score) / 2
    return [first]


def tables_of(name: str) -> list[Table]:
    return together(name) if name == "knee" else stored(name)


def card(name: str) -> dict[str, dict[str, dict[str, float]]]:
    document = json.loads((ROOT / "weights" / name / "card.json").read_text())
    return {each["subject"]: {m["name"]: m for m in each["metrics"]} for each in document["evaluations"]}


def calibration(logits: Floats, truth: NDArray[np.int64], method: str) -> Floats:
    """Scales [3] and biases [3] of the log-probabilities, fitted by log-loss."""
    x, target = log_softmax(logits, axis=1), np.eye(3)[truth]

    def spread(parameters: Floats) -> Floats:
        one = method == "temperature"
        return np.concatenate([np.repeat(parameters, 3), np.zeros(3)]) if one else parameters

    start = np.ones(1) if method == "temperature" else np.concatenate([np.ones(3), np.zeros(3)])
    bounds = [(0.02, 20)] if method == "temperature" else [(0.02, 20)] * 3 + [(-20, 20)] * 3

    def loss(parameters: Floats) -> tuple[float, Floats]:
        shares = log_softmax(x * spread(parameters)[:3] + spread(parameters)[3:], axis=1)
        slope = np.exp(shares) - target
        of_scales = (slope * x).mean(axis=0)
        by_hand = [of_scales.sum()] if method == "temperature" else [*of_scales, *slope.mean(axis=0)]
        return -(target * shares).sum(axis=1).mean(), np.array(by_hand)

    options = {"ftol": 1e-14, "gtol": 1e-10}
    return np.asarray(spread(minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x))


def calibrated(logits: Floats, parameters: Floats) -> Floats:
    return np.asarray(softmax(log_softmax(logits, axis=1) * parameters[:3] + parameters[3:], axis=1))


@cache
def inner(table: Table, held: float | None, method: str) -> dict[float, Floats]:
    """Calibration of each fold but the held one, fitted on all folds but these two."""
    fits = {}
    for part in np.unique(table.fold):
        if part != held:
            fit = (table.fold != part) & (table.fold != held)
            fits[float(part)] = calibration(table.logits[fit], table.truth[fit], method)
    return fits


def losses(table: Table, held: float | None) -> dict[str, float]:
    """Cross-fitted log-loss of each method on all folds but the held one."""
    rest = table.fold != held
    values = {}
    for method in ("temperature", "vector"):
        shares = np.full((len(rest), 3), np.nan)
        for part, parameters in inner(table, held, method).items():
            shares[table.fold == part] = calibrated(table.logits[table.fold == part], parameters)
        values[method] = metrics.log_loss(table.truth[rest], shares[rest], labels=range(3))
    return values


@cache
def method_of(table: Table, held: float) -> str:
    values = losses(table, held)
    return min(values, key=values.__getitem__)


@cache
def image(table: Table) -> Floats:
    """Each fold calibrated on the others, by the method with the lower log-loss across these."""
    shares = np.zeros((len(table.truth), 3))
    for held in np.unique(table.fold):
        rest = table.fold != held
        fitted = calibration(table.logits[rest], table.truth[rest], method_of(table, held))
        shares[~rest] = calibrated(table.logits[~rest], fitted)
    return shares


def regression(table: Table, inputs: Floats) -> tuple[Floats, Floats]:
    """Probabilities and T-scores of each fold, by regressions on the others."""
    shares, scores = np.zeros((len(table.truth), 3)), np.zeros(len(table.truth))
    for fold in np.unique(table.fold):
        fit, held = table.fold != fold, table.fold == fold
        shares[held], scores[held] = regressions(inputs, table, fit, held)
    return shares, scores


def regressions(inputs: Floats, table: Table, fit: Flags, held: Flags) -> tuple[Floats, Floats]:
    known = fit & np.isfinite(table.measured)
    model, line = (
        make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), last)
        for last in (LogisticRegression(max_iter=5000), Ridge())
    )
    model.fit(inputs[fit], table.truth[fit])
    line.fit(inputs[known], table.measured[known])
    return model.predict_proba(inputs[held]), line.predict(inputs[held])


@dataclass
class Fused:
    """Answers of one repeat with the patient's facts; NaN and no zone for films without them."""

    shares: Floats
    t_score: Floats
    half_width: Floats
    zone: NDArray[np.str_]


@cache
def fused(table: Table, facts: str) -> Fused:
    """Each fold's films by the fusion that the others choose and fit."""
    count, known = len(table.truth), table.has(facts)
    answer = Fused(np.full((count, 3), np.nan), *np.full((2, count), np.nan), np.full(count, "", "U13"))
    for fold in np.unique(table.fold):
        rest, held = known & (table.fold != fold), known & (table.fold == fold)
        method = method_of(table, fold)
        crossed = {by_image: (np.full((count, 3), np.nan), np.full(count, np.nan)) for by_image in (True, False)}
        for part, parameters in inner(table, fold, method).items():
            fit, scored = rest & (table.fold != part), rest & (table.fold == part)
            for by_image, (shares, scores) in crossed.items():
                inputs = fusion_inputs(table, facts, parameters, by_image)
                shares[scored], scores[scored] = regressions(inputs, table, fit, scored)
        loss = {by: -np.log(shares[np.arange(count), table.truth]) for by, (shares, _) in crossed.items()}
        error = {by: (scores - table.measured) ** 2 for by, (_, scores) in crossed.items()}
        label_by, t_by = (falls(table, rest, values) for values in (loss, error))
        everything = table.fold != fold
        outer = calibration(table.logits[everything], table.truth[everything], method)
        both = rest | held
        shares, _ = regressions(fusion_inputs(table, facts, outer, label_by), table, rest, both)
        _, scores = regressions(fusion_inputs(table, facts, outer, t_by), table, rest, both)
        answer.shares[held], answer.t_score[held] = shares[held[both]], scores[held[both]]
        answer.half_width[held] = half_width(table, rest, crossed[t_by][1])
        low, high = thresholds(table.truth[rest] == 2, crossed[label_by][0][rest, 2])
        zone = np.select([shares[:, 2] >= high, shares[:, 2] < low], ["refer", "low suspicion"], "uncertain")
        if len(set(zone[rest[both]])) == 3:
            answer.zone[held] = zone[held[both]]
    return answer


def fusion_inputs(table: Table, facts: str, parameters: Floats, by_image: bool) -> Floats:
    of_image = [np.log(calibrated(table.logits, parameters)), table.t_score] if by_image else []
    return np.column_stack([*of_image, table.fused_facts[facts]])


def falls(table: Table, rest: Flags, loss: dict[bool, Floats]) -> bool:
    """Whether the image lowers a loss by more than its standard error over groups."""
    gain = loss[False] - loss[True]
    usable = rest & np.isfinite(gain)
    by_group = np.array([gain[usable & (table.group == group)].mean() for group in np.unique(table.group[usable])])
    return bool(by_group.mean() > by_group.std() / len(by_group) ** 0.5)


def half_width(table: Table, rest: Flags, scores: Floats) -> float:
    """The least width under which the groups' mean share of residuals is 0.9, with a group more beyond them all."""
    residual = np.abs(scores - table.measured)
    usable = rest & np.isfinite(residual)
    groups = [residual[usable & (table.group == group)] for group in np.unique(table.group[usable])]
    for width in np.sort(residual[usable]):
        if sum((part <= width).mean() for part in groups) / (len(groups) + 1) >= LEVEL - 1e-9:
            return float(width)
    return float("nan")


def thresholds(ill: Flags, score: Floats) -> tuple[float, float]:
    """The highest threshold with 90 % sensitivity and the lowest with 90 % specificity, between two scores."""
    edges = np.concatenate([[0], np.unique(score), [1 + 1e-6]])
    between = (edges[:-1] + edges[1:]) / 2
    low = max(t for t in between if (score[ill] >= t).mean() >= LEVEL)
    high = min(t for t in between if (score[~ill] < t).mean() >= LEVEL)
    return float(low), float(high)


def pairs_within(score: Floats, positive: Flags, strata: Sequence[object] | NDArray[np.generic]) -> float:
    """Share of pairs of a positive and a negative film of the same stratum that the score ranks right."""
    strata = np.asarray(strata)
    wins = [
        (score[i] > score[j]) + 0.5 * (score[i] == score[j])
        for i in np.flatnonzero(positive) for j in np.flatnonzero(~positive & (strata == strata[i]))
    ]  # fmt: skip
    return float(np.mean(wins))


def residual(table: Table, score: Floats) -> Floats:
    """What a linear fit on acquisition leaves of a score, both by ranks."""
    taken = table.taken[:, np.ptp(table.taken, axis=0) > 0]
    inputs, ranks = np.column_stack([normal_scores(column) for column in taken.T]), normal_scores(score)
    fit = make_pipeline(StandardScaler(), Ridge(alpha=1e-9)).fit(inputs, ranks)
    return np.asarray(ranks - fit.predict(inputs))


def normal_scores(values: Floats) -> Floats:
    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)))


def ece(confidence: Floats, right: Flags) -> float:
    bins = [(confidence >= k / 10) & (confidence < k / 10 + 0.1) for k in range(10)]
    gaps = [part.sum() * abs(right[part].mean() - confidence[part].mean()) for part in bins if part.any()]
    return float(sum(gaps) / len(right))


def figures(table: Table, shares: Floats, t_score: Floats, own: Flags) -> Iterator[tuple[str, float]]:
    """The card's figures by scikit-learn, scipy, and loops, of some of the films."""
    truth, shares, fold, family = table.truth[own], shares[own], table.fold[own], table.family[own]
    predicted = shares.argmax(axis=1)
    yield "accuracy", metrics.accuracy_score(truth, predicted)
    yield "balanced accuracy", metrics.balanced_accuracy_score(truth, predicted)
    yield "macro-F1", metrics.f1_score(truth, predicted, average="macro")
    for k in (0, 2):
        score, positive = shares[:, k], truth == k
        if 0 < positive.sum() < len(positive):
            yield f"AUROC {LABELS[k]} vs rest", metrics.roc_auc_score(positive, score)
            yield f"average precision {LABELS[k]} vs rest", metrics.average_precision_score(positive, score)
            for name, strata in (("folds", fold), ("families", family)):
                if len(set(strata)) > 1:
                    yield f"AUROC within {name} {LABELS[k]} vs rest", pairs_within(score, positive, strata)
    for k, label in enumerate(LABELS):
        yield f"sensitivity {label}", metrics.recall_score(truth == k, predicted == k, zero_division=np.nan)
        yield f"specificity {label}", metrics.recall_score(truth != k, predicted != k, zero_division=np.nan)
    yield "quadratic-weighted kappa", metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
    yield "Brier score", float(((shares - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
    confidence, right = shares.max(axis=1), predicted == truth
    yield "ECE", ece(confidence, right)
    excess = []
    for number in range(10):
        inside = (confidence >= number / 10) & (confidence < number / 10 + 0.1)
        if inside.sum() > 1:
            gap = right[inside].mean() - confidence[inside].mean()
            excess.append(inside.sum() * (gap**2 - right[inside].var() / (inside.sum() - 1)))
    yield "calibration error, debiased", float(np.sqrt(max(0, sum(excess) / len(truth))))
    known = np.isfinite(table.measured[own])
    measured, estimate = table.measured[own][known], t_score[own][known]
    error = estimate - measured
    yield "T-score MAE", metrics.mean_absolute_error(measured, estimate)
    if np.ptp(estimate) > 0:
        yield "T-score Pearson r", pearsonr(measured, estimate).statistic
    yield "T-score bias", error.mean()
    yield "T-score lower limit of agreement", error.mean() - 1.96 * error.std(ddof=1)
    yield "T-score upper limit of agreement", error.mean() + 1.96 * error.std(ddof=1)
