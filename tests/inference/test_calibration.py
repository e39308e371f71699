"""A card's numbers applied to answers, worked out by hand."""

import numpy as np
import pytest

from osteolens.card import Card, PreprocessSpec, TrainingData
from osteolens.inference.calibration import (
    calibrate,
    choose_fusion,
    describe_parameters,
    log_softmax,
    read_fused,
    read_image,
    triage,
)
from osteolens.labels import LABELS
from osteolens.parameters import (
    Fusion,
    OperatingPoint,
    OperatingPoints,
    Temperature,
    TScoreFusion,
    TScoreInterval,
    VectorScaling,
)

LOG2 = np.log(2)


def points(sensitive: float, specific: float, label: str = "osteoporosis") -> OperatingPoints:
    low, high = (OperatingPoint(threshold=value, sensitivity=0.9, specificity=0.9) for value in (sensitive, specific))
    return OperatingPoints(label=label, high_sensitivity=low, high_specificity=high)


def card(**parameters: object) -> Card:
    return Card(
        name="knee",
        architecture="any",
        labels=LABELS,
        has_t_score=True,
        preprocess=PreprocessSpec(),
        weights_sha256="0" * 64,
        data=TrainingData(name="", split="", films={}, groups={}),
        **parameters,
    )


FUSION = Fusion(
    inputs=("age", "sex"),
    intercepts=(0.0, 0.0, 1.0),
    coefficients={
        "log_probability_osteoporosis": (0.0, 0.0, 1.0),
        "t_score": (0.0, 0.0, 2.0),
        "age": (0.0, 0.0, 0.1),
        "female": (0.0, 0.0, 0.5),
    },
    t_score=TScoreFusion(
        intercept=0.5, coefficients={"t_score": 0.5, "age": -0.02}, interval=TScoreInterval(half_width=0.5)
    ),
    operating_points=points(0.2, 0.6),
)


def test_without_calibration_probabilities_are_the_softmax() -> None:
    assert calibrate(np.array([[0.0, LOG2, LOG2], [9.0, 9.0, 9.0]]), None) == pytest.approx(
        np.array([[0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    )
    assert calibrate(np.array([[1000.0, 0.0, -1000.0]], np.float32), None).tolist() == [[1, 0, 0]]


def test_a_temperature_of_two_takes_the_root_of_the_odds() -> None:
    probabilities = calibrate(np.array([[0.0, 2 * LOG2, 4 * LOG2]]), Temperature(temperature=2))
    assert probabilities == pytest.approx(np.array([[1 / 7, 2 / 7, 4 / 7]]))


def test_vector_scaling_is_of_log_probabilities_so_that_an_offset_of_the_logits_changes_nothing() -> None:
    vector = VectorScaling(scale=(1.0, 2.0, 1.0), bias=(0.0, 0.0, LOG2))
    # Probabilities 1/4, 1/2, 1/4 become 1/4, (1/2)^2 and 2 x 1/4, over their sum of 1.
    logits = np.array([[0.0, LOG2, 0.0]])
    assert calibrate(logits, vector) == pytest.approx(np.array([[0.25, 0.25, 0.5]]))
    assert calibrate(logits + 7, vector) == pytest.approx(np.array([[0.25, 0.25, 0.5]]))
    assert np.exp(log_softmax(logits)).sum() == pytest.approx(1)


def test_triage_zones_are_closed_below() -> None:
    shares = np.array([[1 - p, 0, p] for p in (0.19, 0.2, 0.59, 0.6, np.nan)])
    assert triage(LABELS, shares, points(0.2, 0.6)).tolist() == [
        "low suspicion", "uncertain", "uncertain", "refer", "",
    ]  # fmt: skip
    assert triage(LABELS, shares, None).tolist() == [""] * 5


def test_where_thresholds_cross_refer_goes_first_and_nothing_is_uncertain() -> None:
    shares = np.array([[1 - p, 0, p] for p in (0.29, 0.3, 0.5, 0.7)])
    assert triage(LABELS, shares, points(sensitive=0.6, specific=0.3)).tolist() == ["low suspicion"] + ["refer"] * 3


def test_operating_points_of_a_middle_label_take_those_after_it_as_well() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2]])
    assert triage(("0", "1", "2"), shares, points(0.4, 0.6, "1")).tolist() == ["uncertain", "refer"]


def test_the_image_alone() -> None:
    reading = read_image(
        LABELS,
        np.array([[0.0, 2 * LOG2, 4 * LOG2]], np.float32),
        np.array([-1.5], np.float32),
        card(
            calibration=Temperature(temperature=2),
            operating_points=points(0.1, 0.57),
            t_score_interval=TScoreInterval(half_width=0.75),
        ),
    )
    assert reading.probabilities == pytest.approx(np.array([[1 / 7, 2 / 7, 4 / 7]]))
    assert (reading.low[0], reading.t_score[0], reading.high[0]) == (-2.25, -1.5, -0.75)
    assert reading.zone.tolist() == ["refer"]


def test_an_old_card_gives_probabilities_and_a_t_score_and_no_more() -> None:
    reading = read_image(LABELS, np.zeros((2, 3)), np.array([-1.0, np.nan]), card())
    assert reading.probabilities == pytest.approx(np.full((2, 3), 1 / 3))
    assert reading.t_score[0] == -1
    assert np.isnan([*reading.low, *reading.high, reading.t_score[1]]).all()
    assert reading.zone.tolist() == ["", ""]


def test_fusion_by_hand() -> None:
    # Logit of osteoporosis: 1 + ln 0.5 + 2 x (-3) + 0.1 x 50 + 0.5 x female = ln 0.5 or ln 0.5 + 0.5; the others are 0.
    facts = {"age": np.array([50.0, 50.0, np.nan]), "sex": np.array([0.0, 1.0, 1.0])}
    shares = np.array([[0.25, 0.25, 0.5]] * 3)
    reading = read_fused(LABELS, shares, np.array([-3.0] * 3), facts, FUSION)
    odds = np.array([0.5, 0.5 * np.exp(0.5)])
    assert reading.probabilities[:2, 2] == pytest.approx(odds / (2 + odds))
    assert reading.probabilities[:2, 0] == pytest.approx(1 / (2 + odds))
    assert reading.t_score[:2] == pytest.approx([0.5 - 1.5 - 1.0] * 2)
    assert reading.low[:2] == pytest.approx([-2.5] * 2)
    assert reading.high[:2] == pytest.approx([-1.5] * 2)
    assert reading.zone.tolist() == ["uncertain", "uncertain", ""]
    assert np.isnan(reading.probabilities[2]).all()


def test_fusion_without_a_t_score_and_with_an_impossible_probability() -> None:
    fusion = FUSION.model_copy(update={"t_score": None})
    facts = {"age": np.array([50.0]), "sex": np.array([0.0])}
    reading = read_fused(LABELS, np.array([[1.0, 0.0, 0.0]]), np.array([-3.0]), facts, fusion)
    assert np.isfinite(reading.probabilities).all()
    assert np.isnan(reading.t_score).all()


def test_the_last_fusion_whose_facts_are_known_is_chosen() -> None:
    more = FUSION.model_copy(update={"inputs": ("age", "sex", "weight_kg", "height_m")})
    fusions = (FUSION, more)
    assert choose_fusion(fusions, {"age", "sex", "weight_kg", "height_m"}) is more
    assert choose_fusion(fusions, {"age", "sex", "weight_kg"}) is FUSION
    assert choose_fusion(fusions, {"age", "weight_kg"}) is None
    assert choose_fusion((), {"age", "sex"}) is None


def test_parameters_are_described_in_plain_words() -> None:
    full = card(
        calibration=VectorScaling(scale=(1.0, 2.0, 1.0), bias=(0.0, -0.5, 0.5)),
        operating_points=points(0.2, 0.6),
        t_score_interval=TScoreInterval(half_width=0.75),
        fusion=(FUSION,),
    )
    assert dict(describe_parameters(full)) == {
        "calibration": "vector scaling of the log-probabilities: normal x 1 +0, osteopenia x 2 -0.5, "
        "osteoporosis x 1 +0.5",
        "triage": "refer from 0.60 probability of osteoporosis (specificity 90%), low suspicion below 0.20 "
        "(sensitivity 90%)",
        "T-score interval": "estimate +- 0.75, meant for 90% of films",
        "also answers with": "age, sex; refer from 0.60 probability of osteoporosis (specificity 90%), low suspicion "
        "below 0.20 (sensitivity 90%)",
    }
    assert dict(describe_parameters(card())) == {}
    middle = dict(describe_parameters(card(operating_points=points(0.2, 0.6, "osteopenia"))))
    assert "0.60 probability of osteopenia and above" in middle["triage"]
    assert "divided by 2" in dict(describe_parameters(card(calibration=Temperature(temperature=2))))["calibration"]
