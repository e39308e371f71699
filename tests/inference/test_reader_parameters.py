"""The reader applies the numbers of its card: worked out by hand from what the model says without them."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like
from support.dicom import dataset, save
from support.shown import shown

from inference.test_calibration import FUSION, points
from osteolens.card import WEIGHTS_FILE, Card, load_card
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.inference.reader import Reader, Request
from osteolens.labels import LABELS
from osteolens.parameters import Temperature, TScoreInterval, VectorScaling
from osteolens.schema import Answer

FILM = encoded(knee_like(seed=3))
MORE = FUSION.model_copy(update={"inputs": ("age", "sex", "weight_kg", "height_m"), "t_score": None})


def reader_with(source: Path, folder: Path, low: float = 0.7, **parameters: object) -> Reader:
    """The same weights under a card with these parameters, and with AUROCs whose intervals begin at `low`."""
    folder.mkdir()
    os.link(source / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    shown(Card.model_validate(load_card(source).model_dump() | parameters), low, fused=low).save(folder)
    return Reader(folder)


def ask(reader: Reader, **options: str) -> Answer:
    return reader.answer(Request(FILM, {"explain": "none"} | options, "a"))


def shares(answer: Answer) -> np.ndarray:
    return np.array(list(answer.probabilities.values()))


@pytest.fixture(scope="module")
def plain(model_folder: Path) -> Answer:
    return ask(Reader(model_folder), age="50", sex="female")


def test_an_uncalibrated_card_answers_as_before(plain: Answer) -> None:
    assert (plain.triage, plain.fused) == (None, None)
    assert plain.t_score is not None
    assert plain.t_score.interval_90 is None


def test_temperature_interval_and_triage(plain: Answer, model_folder: Path, tmp_path: Path) -> None:
    cooled = np.sqrt(shares(plain))
    cooled /= cooled.sum()
    reader = reader_with(
        model_folder, tmp_path / "knee",
        calibration=Temperature(temperature=2),
        operating_points=points(cooled[2] + 0.01, cooled[2] + 0.02),
        t_score_interval=TScoreInterval(half_width=0.75),
    )  # fmt: skip
    answer = ask(reader)
    assert shares(answer) == pytest.approx(cooled, abs=1e-6)
    assert shares(answer) != pytest.approx(shares(plain), abs=1e-3)
    assert answer.triage == "low suspicion"
    assert answer.t_score is not None
    assert plain.t_score is not None
    assert answer.t_score.estimate == pytest.approx(plain.t_score.estimate, abs=1e-5)
    estimate = answer.t_score.estimate
    assert answer.t_score.interval_90 == pytest.approx((estimate - 0.75, estimate + 0.75))
    assert answer.model.card_sha256 == reader.card.sha256 != plain.model.card_sha256


def test_no_zone_and_no_finding_from_a_model_that_is_not_shown_to_beat_chance(
    plain: Answer, model_folder: Path, tmp_path: Path
) -> None:
    parameters = {"operating_points": points(0.1, 0.2), "fusion": (FUSION,)}
    for low, zones in ((0.51, True), (0.5, False)):
        answer = ask(reader_with(model_folder, tmp_path / f"{low}", low, **parameters), age="50", sex="female")
        assert answer.fused is not None
        assert [zone is not None for zone in (answer.triage, answer.fused.triage)] == [zones, zones]
        assert (answer.lead.headline, answer.label) == (plain.label if zones else "no finding", plain.label)


@pytest.mark.parametrize("favoured", range(3))
def test_label_and_map_follow_the_calibrated_probabilities(favoured: int, model_folder: Path, tmp_path: Path) -> None:
    bias = tuple(20.0 * (index == favoured) for index in range(3))
    vector = VectorScaling(scale=(1.0, 1.0, 1.0), bias=bias)
    answer = ask(reader_with(model_folder, tmp_path / "knee", calibration=vector), explain="gradcam")
    assert answer.label == LABELS[favoured]
    assert [explanation.target for explanation in answer.explanations] == [LABELS[favoured]]


def test_the_fused_answer_by_hand(plain: Answer, model_folder: Path, tmp_path: Path) -> None:
    reader = reader_with(model_folder, tmp_path / "knee", fusion=(FUSION, MORE))
    answer = ask(reader, age="50", sex="female")
    assert shares(answer) == pytest.approx(shares(plain), abs=1e-6)
    assert answer.triage is None
    assert plain.t_score is not None
    estimate = plain.t_score.estimate
    odds = np.exp(1 + np.log(shares(plain)[2]) + 2 * estimate + 0.1 * 50 + 0.5)
    fused = answer.fused
    assert fused is not None
    assert fused.inputs == ("age", "sex")
    assert list(fused.probabilities.values()) == pytest.approx([1 / (2 + odds), 1 / (2 + odds), odds / (2 + odds)])
    assert fused.label == max(fused.probabilities, key=fused.probabilities.__getitem__)
    expected = "refer" if odds / (2 + odds) >= 0.6 else "uncertain" if odds / (2 + odds) >= 0.2 else "low suspicion"
    assert fused.triage == expected
    assert fused.t_score is not None
    line = 0.5 + 0.5 * estimate - 0.02 * 50
    assert fused.t_score.estimate == pytest.approx(line, abs=1e-5)
    assert fused.t_score.interval_90 == pytest.approx((line - 0.5, line + 0.5), abs=1e-5)
    male = ask(reader, age="50", sex="male").fused
    assert male is not None
    assert male.probabilities["osteoporosis"] == pytest.approx(1 / (1 + 2 / odds * np.exp(0.5)))


def test_facts_of_a_dicom_header_are_used_where_the_request_has_none(model_folder: Path, tmp_path: Path) -> None:
    reader = reader_with(model_folder, tmp_path / "knee", fusion=(FUSION, MORE))
    pixels = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    film = save(dataset(pixels, PatientAge="050Y", PatientSex="F", ImageLaterality="R"))
    answer = reader.answer(Request(film, {}, "1"))
    assert answer.quality.source is not None
    assert (answer.quality.source.age, answer.quality.source.side) == (50.0, "right")
    assert answer.fused == reader.answer(Request(film, {"age": "50", "sex": "female"}, "1")).fused
    assert answer.fused is not None
    assert answer.fused.inputs == ("age", "sex")
    assert reader.answer(Request(film, {"sex": "male"}, "1")).fused != answer.fused


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({"age": "50", "sex": "male", "weight_kg": "70", "height_m": "1.7"}, ("age", "sex", "weight_kg", "height_m")),
        ({"age": "50", "sex": "male", "weight_kg": "70"}, ("age", "sex")),
        ({"age": "0", "sex": "male"}, ("age", "sex")),
        ({"age": "50"}, None),
        ({"sex": "male", "weight_kg": "70", "height_m": "1.7"}, None),
        ({}, None),
    ],
)
def test_as_many_facts_as_are_given_are_used(
    options: dict[str, str], inputs: tuple[str, ...] | None, fusing: Reader
) -> None:
    fused = ask(fusing, **options).fused
    assert (fused and fused.inputs) == inputs
    if inputs and len(inputs) == 4:
        assert fused is not None
        assert fused.t_score is None


@pytest.fixture(scope="module")
def fusing(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return reader_with(model_folder, tmp_path_factory.mktemp("fusing") / "knee", fusion=(FUSION, MORE))


def test_each_film_is_fused_with_its_own_patient(fusing: Reader) -> None:
    cases = [
        Request(encoded(knee_like(seed=seed)), {"explain": "none"} | facts, str(seed))
        for seed, facts in enumerate([{"age": "30", "sex": "male"}, {}, {"age": "60", "sex": "female"}])
    ]
    first, without, last = (fusing.answer(case).fused for case in cases)
    assert without is None
    assert first is not None
    assert last is not None
    assert first.t_score != last.t_score


def test_members_are_calibrated_as_the_answer_is(ensemble_folder: Path, tmp_path: Path) -> None:
    plain = ask(Reader(ensemble_folder)).fold_spread
    reader = reader_with(ensemble_folder, tmp_path / "knee", calibration=Temperature(temperature=2))
    spread = ask(reader).fold_spread
    assert plain is not None
    assert spread is not None
    prepared = prepare(read(FILM).pixels, reader.card.preprocess)
    logits = reader.runtime.predict(prepared.array[None]).member_logits
    assert logits is not None
    cooled = np.exp(logits[0] / 2) / np.exp(logits[0] / 2).sum(axis=1, keepdims=True)
    assert list(spread.low.values()) == pytest.approx(cooled.min(axis=0).tolist(), abs=1e-5)
    assert list(spread.high.values()) == pytest.approx(cooled.max(axis=0).tolist(), abs=1e-5)
    assert spread.high != pytest.approx(plain.high, abs=1e-3)


def test_a_map_is_as_strong_as_its_peak_is_beside_the_usual_one(model_folder: Path, tmp_path: Path) -> None:
    peaks = {map_.target: map_.peak for map_ in ask(Reader(model_folder), explain="gradcam", target="all").explanations}
    seen = sorted((label for label in LABELS if peaks[label] > 0), key=peaks.__getitem__)
    usual = {label: peaks[label] * 4 for label in seen[:1]} | {label: peaks[label] / 2 for label in seen[1:2]}
    reader = reader_with(model_folder, tmp_path / "knee", map_peaks=usual)
    strengths = {map_.target: map_.strength for map_ in ask(reader, explain="gradcam", target="all").explanations}
    assert strengths[seen[0]] == pytest.approx(0.25)
    assert strengths[seen[1]] == 1.0  # not 2
    assert [label for label in LABELS if strengths[label] is None] == [label for label in LABELS if label not in usual]


def test_maps_of_other_methods_have_no_strength(model_folder: Path, tmp_path: Path) -> None:
    reader = reader_with(model_folder, tmp_path / "knee", map_peaks=dict.fromkeys(LABELS, 1.0))
    assert [map_.strength for map_ in ask(reader, explain="layercam", target="all").explanations] == [None] * 3
    assert all(map_.strength is not None for map_ in ask(reader, explain="gradcam", target="all").explanations)
