"""Every figure of the shipped cards, computed again from the stored predictions without this library's evaluation."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn import metrics

from .independent import (
    LABELS,
    ROOT,
    Flags,
    Floats,
    Table,
    card,
    figures,
    fused,
    image,
    pairs_within,
    regression,
    residual,
    stored,
    tables_of,
)

AGE_AND_SEX, ALL_FACTS = "age and sex", "age, sex, weight and height"
BEYOND = "image beyond acquisition"
SUBJECTS = (
    "image", f"image + {AGE_AND_SEX}", f"image + {ALL_FACTS}", "baseline: majority", "baseline: file format",
    "baseline: acquisition", f"baseline: {AGE_AND_SEX}", f"baseline: {ALL_FACTS}",
)  # fmt: skip


def answers(table: Table, subject: str) -> tuple[Floats, Floats, Flags]:
    """Probabilities, T-scores, and the films that they are of."""
    everyone = np.ones(len(table.truth), bool)
    if subject == "image":
        return image(table), table.t_score, everyone
    facts = subject.removeprefix("image + ").removeprefix("baseline: ")
    if subject.startswith("image + "):
        return fused(table, facts).shares, fused(table, facts).t_score, table.has(facts)
    if facts in table.facts:
        return (*regression(table, table.facts[facts]), table.has(facts))
    families = np.column_stack([table.family == family for family in sorted(set(table.family))])
    inputs = {
        "majority": np.zeros((len(everyone), 1)), "file format": families, "acquisition": table.taken,
    }[facts]  # fmt: skip
    shares, scores = regression(table, inputs.astype(float))
    if facts == "majority":
        for fold in np.unique(table.fold):
            rest = table.fold != fold
            shares[~rest] = np.bincount(table.truth[rest], minlength=3) / rest.sum()
            scores[~rest] = np.nanmean(table.measured[rest])
    return shares, scores, everyone


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("name", ["efficientnet", pytest.param("yolov5", marks=pytest.mark.slow), "knee"])
def test_every_figure_is_that_of_another_implementation(name: str, subject: str) -> None:
    values = [dict(figures(table, *answers(table, subject))) for table in tables_of(name)]
    shown = card(name)[subject]
    # A figure that ranks films is not given of an answer that is the same for all.
    missing = values[0].keys() - shown.keys()
    assert shown.keys() <= values[0].keys()
    assert all(subject == "baseline: majority" and f.startswith(("AUROC", "average", "T-score P")) for f in missing)
    for figure, metric in shown.items():
        assert np.mean([value[figure] for value in values]) == pytest.approx(metric["value"], abs=2e-3), figure


@pytest.mark.parametrize("name", ["efficientnet", "yolov5", "knee"])
def test_the_image_beyond_acquisition_is_that_of_another_implementation(name: str) -> None:
    shown = dict(card(name)[BEYOND])
    for k in (0, 2):
        values = []
        for table in tables_of(name):
            ill, left = table.truth == k, residual(table, image(table)[:, k])
            both = np.column_stack([table.taken, log_softmax(table.logits, axis=1)])
            areas = [metrics.roc_auc_score(ill, regression(table, each)[0][:, k]) for each in (both, table.taken)]
            gain = areas[0] - max(areas[1], 0.5)
            values.append((metrics.roc_auc_score(ill, left), pairs_within(left, ill, table.family), gain))
        names = "AUROC", "AUROC within families", "AUROC gain"
        for figure, value in zip(names, np.mean(values, axis=0), strict=True):
            assert value == pytest.approx(shown.pop(f"{figure} {LABELS[k]} vs rest")["value"], abs=5e-3), figure
    assert not shown


@pytest.mark.parametrize("name", ["efficientnet", "yolov5", "knee"])
def test_no_subject_of_a_card_is_left_out(name: str) -> None:
    assert card(name).keys() == {*SUBJECTS, BEYOND}


@pytest.mark.parametrize("name", ["efficientnet", "knee"])
def test_the_difference_from_age_and_sex_is_of_the_same_groups_drawn_one_by_one(name: str) -> None:
    """What decides `beats_age_and_sex`: AUROC of the image less that of age and sex, on films that have these facts."""
    tables, random = tables_of(name), np.random.default_rng(6)
    scores = [(image(table)[:, 2], regression(table, table.facts[AGE_AND_SEX])[0][:, 2]) for table in tables]
    groups = np.unique(tables[0].group)
    places = {group: np.flatnonzero((tables[0].group == group) & tables[0].has(AGE_AND_SEX)) for group in groups}

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
    shares = [regression(table, table.facts[AGE_AND_SEX])[0][:, 2] for table in tables]
    groups = np.unique(tables[0].group)
    places = {group: np.flatnonzero((tables[0].group == group) & tables[0].has(AGE_AND_SEX)) for group in groups}
    for _ in range(300):
        rows = np.concatenate([places[group] for group in random.choice(groups, len(groups))])
        pairs = [(table.truth[rows] == 2, score[rows]) for table, score in zip(tables, shares, strict=True)]
        areas.append(np.mean([metrics.roc_auc_score(*pair) for pair in pairs]))
    shown = card("efficientnet")["baseline: age and sex"]["AUROC osteoporosis vs rest"]
    assert np.percentile(areas, (2.5, 97.5)) == pytest.approx([shown["low"], shown["high"]], abs=0.02)
