"""What a run's metrics.json holds beside the card's figures, computed again without this library's evaluation."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.predictions import read_predictions

from .independent import (
    LABELS,
    ROOT,
    ZONES,
    Flags,
    Floats,
    Table,
    calibrated,
    calibration,
    ece,
    figures,
    fused,
    half_width,
    image,
    inner,
    losses,
    regression,
    stored,
    thresholds,
)

NAME = "efficientnet"
FACT_SETS = ("age and sex", "age, sex, weight and height")
INPUTS = (("age", "sex"), ("age", "sex", "weight_kg", "height_m"))


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """What metrics.json would hold; intervals from few resamples, as others check them."""
    return evaluate(read_predictions(ROOT / "evidence" / NAME / "predictions.csv"), resamples=20).dump()


@cache
def joined() -> Table:
    """Both repeats as one table."""
    first, *others = stored(NAME)
    table = object.__new__(Table)
    for name, values in vars(first).items():
        parts = [values, *(getattr(other, name) for other in others)]
        if isinstance(values, dict):
            setattr(table, name, {key: np.concatenate([part[key] for part in parts]) for key in values})
        else:
            setattr(table, name, np.concatenate(parts))
    return table


def near(value: float, metric: dict[str, float], tolerance: float = 2e-3) -> bool:
    return abs(value - metric["value"]) < tolerance


def test_every_part_of_the_file_is_computed_again_by_a_test(run: dict[str, Any]) -> None:
    here = {"differences", "subgroups", "triage", "coverage", "ece_by_chance", "calibration", "parameters"}
    assert run.keys() == here | {"evaluations", "per_source"}  # the former is the card's; the latter is empty here
    assert run["per_source"] == []


def test_differences_are_those_of_the_figures(run: dict[str, Any]) -> None:
    """Each is of the films that have the facts of both."""
    assert len(run["differences"]) == 4
    for pair in run["differences"]:
        values: list[dict[str, float]] = []
        facts = [pair[side].split(": ")[-1].split(" + ")[-1] for side in ("predictor", "baseline")]
        for table in stored(NAME):
            common = np.all([table.has(each) for each in facts if each != "image"], axis=0)
            ours = (image(table), table.t_score) if facts[0] == "image" else (
                fused(table, facts[0]).shares, fused(table, facts[0]).t_score,
            )  # fmt: skip
            theirs = regression(table, table.facts[facts[1]])
            pairs = [dict(figures(table, *answers, common)) for answers in (ours, theirs)]
            values.append({name: pairs[0][name] - pairs[1][name] for name in pairs[0]})
        for metric in pair["metrics"]:
            assert near(float(np.mean([value[metric["name"]] for value in values])), metric), (pair, metric)


def test_figures_of_subgroups_are_those_of_their_films(run: dict[str, Any]) -> None:
    bands = {"under 45": (-np.inf, 45), "45 to 59": (45, 60), "60 and over": (60, np.inf)}
    seen = set()
    for part in run["subgroups"]:
        values = []
        for table in stored(NAME):
            low, high = bands.get(part["value"], (0.0, 0.0))
            own = {
                "sex": table.sex == part["value"], "family": table.family == part["value"],
                "age": (low <= table.age) & (table.age < high),
            }[part["kind"]]  # fmt: skip
            assert own.sum() == part["evaluation"]["films"]
            values.append(dict(figures(table, image(table), table.t_score, own)))
        for metric in part["evaluation"]["metrics"]:
            value = np.mean([value[metric["name"]] for value in values])
            # Of few films, one that is ranked otherwise by the other fit of the calibration counts for more.
            assert near(float(value), metric, 0.02 if own.sum() < 40 else 5e-3), (part["value"], metric)
        seen.add(part["kind"])
    assert seen == {"sex", "family", "age"}


def test_zones_are_those_of_thresholds_on_other_folds(run: dict[str, Any]) -> None:
    assert [part["predictor"] for part in run["triage"]] == [f"image + {facts}" for facts in FACT_SETS]
    for part, facts in zip(run["triage"], FACT_SETS, strict=True):
        zones = [(fused(table, facts).zone, table.truth) for table in stored(NAME)]
        for zone in ZONES:
            for k, label in enumerate(LABELS):
                count = np.mean([((each == zone) & (truth == k)).sum() for each, truth in zones])
                assert count == pytest.approx(part["counts"][zone][label], abs=0.51)
        every, truth = (np.concatenate(values) for values in zip(*zones, strict=True))
        ill, zoned = truth == 2, every != ""
        for zone in ZONES:
            assert near(float(ill[every == zone].mean()), part["ill"][zone], 0.01)
        sensitivity, specificity = part["reached"]
        assert near(float((every[ill & zoned] != "low suspicion").mean()), sensitivity, 0.01)
        assert near(float((every[~ill & zoned] != "refer").mean()), specificity, 0.01)


def test_coverage_is_counted(run: dict[str, Any]) -> None:
    def spans(table: Table, name: str) -> tuple[Floats, Floats, Flags]:
        if name != "image":
            answer = fused(table, name.removeprefix("image + "))
            return answer.t_score, answer.half_width, np.isfinite(table.measured) & np.isfinite(answer.half_width)
        widths = np.zeros(len(table.truth))
        for fold in np.unique(table.fold):
            widths[table.fold == fold] = half_width(table, table.fold != fold, table.t_score)
        return table.t_score, widths, np.isfinite(table.measured)

    assert [part["predictor"] for part in run["coverage"]] == ["image", *(f"image + {facts}" for facts in FACT_SETS)]
    for part in run["coverage"]:
        inside, width = [], []
        for table in stored(NAME):
            score, half, known = spans(table, part["predictor"])
            inside.extend((np.abs(score - table.measured) <= half)[known])
            width.extend(2 * half[known])
        assert near(float(np.mean(inside)), part["covered"], 0.007)
        assert np.mean(width) == pytest.approx(part["mean_width"], abs=5e-3)


def test_the_calibration_error_by_chance_is_that_of_answers_drawn_as_stated(run: dict[str, Any]) -> None:
    random, limits = np.random.default_rng(4), []
    for table in stored(NAME):
        confidence = image(table).max(axis=1)
        drawn = [ece(confidence, random.random(len(confidence)) < confidence) for _ in range(400)]
        limits.append(np.percentile(drawn, 95))
    assert np.mean(limits) == pytest.approx(run["ece_by_chance"]["image"], abs=0.01)


def test_the_calibration_is_chosen_by_its_loss_on_other_folds(run: dict[str, Any]) -> None:
    candidates = {each["method"]: each for each in run["calibration"]["candidates"]}
    for method, shown in candidates.items():
        rows: list[tuple[float, float, float]] = []
        for table in stored(NAME):
            shares = np.zeros((len(table.truth), 3))
            for fold in np.unique(table.fold):
                held = table.fold == fold
                plain = np.concatenate([np.ones(3), np.zeros(3)])
                fitted = plain if method == "none" else inner(table, None, method)[float(fold)]
                shares[held] = calibrated(table.logits[held], fitted)
            brier = ((shares - np.eye(3)[table.truth]) ** 2).sum(axis=1).mean()
            right = shares.argmax(axis=1) == table.truth
            rows.append((metrics.log_loss(table.truth, shares), ece(shares.max(axis=1), right), brier))
        assert np.mean(rows, axis=0) == pytest.approx([shown["log_loss"], shown["ece"], shown["brier"]], abs=3e-3)
    lost = [losses(table, None) for table in stored(NAME)]
    assert run["calibration"]["method"] == min(lost[0], key=lambda method: sum(each[method] for each in lost))


def test_the_card_s_parameters_are_those_of_all_films(run: dict[str, Any]) -> None:
    table, parameters = joined(), run["parameters"]
    fitted, shown = calibration(table.logits, table.truth, run["calibration"]["method"]), parameters["calibration"]
    if run["calibration"]["method"] == "temperature":
        assert 1 / fitted[0] == pytest.approx(shown["temperature"], rel=1e-2)
    else:
        assert calibrated(table.logits, fitted) == pytest.approx(
            calibrated(table.logits, np.array([*shown["scale"], *shown["bias"]])), abs=2e-3
        )
    everyone = np.ones(len(table.truth), bool)
    assert half_width(table, everyone, table.t_score) == pytest.approx(parameters["t_score_interval"]["half_width"])
    assert [tuple(fusion["inputs"]) for fusion in parameters["fusion"]] == [*INPUTS]
    for fusion, facts in zip(parameters["fusion"], FACT_SETS, strict=True):
        known = table.has(facts)
        raw = np.column_stack([
            np.log(calibrated(table.logits, fitted)), table.t_score, table.fused_facts[facts]
        ])[known]  # fmt: skip
        names = [*(f"log_probability_{label}" for label in LABELS), "t_score", "age", "female", "weight_kg", "height_m"]
        columns = dict(zip(names, raw.T, strict=False))
        shares = np.array(fusion["intercepts"]) + sum(
            np.outer(columns[name], weights) for name, weights in fusion["coefficients"].items()
        )
        score = fusion["t_score"]["intercept"] + sum(
            columns[name] * weight for name, weight in fusion["t_score"]["coefficients"].items()
        )
        by_image = [any(fusion["coefficients"][names[0]]), bool(fusion["t_score"]["coefficients"]["t_score"])]
        # Each film weighs one in all: two repeats, half each.
        half, measured = np.full(known.sum(), 0.5), table.measured[known]
        scaled = [StandardScaler().fit_transform(raw if by else raw[:, 4:]) for by in by_image]
        model = LogisticRegression(max_iter=5000).fit(scaled[0], table.truth[known], sample_weight=half)
        assert np.exp(log_softmax(shares, axis=1)) == pytest.approx(model.predict_proba(scaled[0]), abs=5e-3)
        line = Ridge().fit(scaled[1], measured, sample_weight=half)
        assert score == pytest.approx(line.predict(scaled[1]), abs=5e-3)


def test_thresholds_of_the_fusions_lie_between_the_scores_that_reach_ninety_percent(run: dict[str, Any]) -> None:
    """Set on cross-fitted answers: those of each fold by a fusion of the other folds of its repeat."""
    for fusion, facts in zip(run["parameters"]["fusion"], FACT_SETS, strict=True):
        scores, ill = [], []
        for table in stored(NAME):
            known = table.has(facts)
            shares = regression_of_known(table, facts, known)
            scores.append(shares[known, 2])
            ill.append(table.truth[known] == 2)
        assert not any(fusion["coefficients"]["log_probability_normal"])  # else the image would count here, too
        low, high = thresholds(np.concatenate(ill), np.concatenate(scores))
        points = fusion["operating_points"]
        assert points["high_sensitivity"]["threshold"] == pytest.approx(low, abs=5e-3)
        assert points["high_specificity"]["threshold"] == pytest.approx(high, abs=5e-3)


def regression_of_known(table: Table, facts: str, known: Flags) -> Floats:
    shares = np.full((len(table.truth), 3), np.nan)
    for fold in np.unique(table.fold):
        fit, held = known & (table.fold != fold), known & (table.fold == fold)
        scaler = StandardScaler().fit(table.fused_facts[facts][fit])
        model = LogisticRegression(max_iter=5000).fit(scaler.transform(table.fused_facts[facts][fit]), table.truth[fit])
        shares[held] = model.predict_proba(scaler.transform(table.fused_facts[facts][held]))
    return shares
