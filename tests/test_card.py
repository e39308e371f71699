import json
from pathlib import Path

import pytest

from osteolens.card import Card, Evaluation, Metric, load_card
from osteolens.errors import CardError
from osteolens.parameters import VectorScaling


def test_round_trip_keeps_content_and_hash(model_folder: Path, tmp_path: Path) -> None:
    card = load_card(model_folder)
    metric = Metric(name="AUROC", value=0.1 + 0.2, low=0.2, high=0.4)
    evaluation = Evaluation(subject="model", protocol="none", films=1, groups=1, metrics=(metric,))
    card = card.model_copy(update={"evaluations": (evaluation,)})
    card.save(tmp_path)
    again = load_card(tmp_path, check_weights=False)
    assert again == card
    assert again.sha256 == card.sha256


def test_the_hash_follows_content_not_layout(model_folder: Path, tmp_path: Path) -> None:
    card = load_card(model_folder)
    content = json.loads((model_folder / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(dict(reversed(content.items()))))
    assert load_card(tmp_path, check_weights=False).sha256 == card.sha256
    content["version"] = "1.1"
    (tmp_path / "card.json").write_text(json.dumps(content))
    assert load_card(tmp_path, check_weights=False).sha256 != card.sha256


def test_weights_of_another_model_are_refused_with_both_hashes(model_folder: Path, tmp_path: Path) -> None:
    card = load_card(model_folder)
    card.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"something else")
    with pytest.raises(CardError, match=card.weights_sha256) as caught:
        load_card(tmp_path)
    assert len([word for word in str(caught.value).replace(",", " ").split() if len(word) == 64]) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"labels": ["normal", "normal"]}, "labels must be distinct"),
        ({"weights_sha256": "abc"}, "weights_sha256"),
        ({"preprocess": {"height": 320, "width": 320, "crop": True}}, "preprocess.crop"),
        ({"schema_version": 2}, "schema_version"),
        ({"name": "../knee"}, "name"),
    ],
)
def test_malformed_cards_name_the_field(
    change: dict[str, object], named: str, model_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((model_folder / "card.json").read_text()) | change
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(CardError, match=named):
        load_card(tmp_path, check_weights=False)


def test_a_folder_without_a_card(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"no card\.json"):
        load_card(tmp_path)


def test_labels_must_be_at_least_two(model_folder: Path) -> None:
    content = json.loads((model_folder / "card.json").read_text()) | {"labels": ["normal"]}
    with pytest.raises(ValueError, match="at least 2 items"):
        Card.model_validate(content)


POINT = {"threshold": 0.5, "sensitivity": 0.9, "specificity": 0.9}
POINTS = {"label": "osteoporosis", "high_sensitivity": POINT, "high_specificity": POINT}
FUSION = {
    "inputs": ["age", "sex"],
    "intercepts": [0, 1, 2],
    "coefficients": {"age": [0, 1, 2], "female": [0, 1, 2], "log_probability_normal": [0, 1, 2], "t_score": [0, 1, 2]},
    "t_score": {"intercept": 1, "coefficients": {"age": -0.1}, "interval": {"half_width": 0.5, "level": 0.9}},
    "operating_points": POINTS,
}


def test_a_card_without_fitted_numbers_is_read_and_one_with_them_round_trips(
    model_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((model_folder / "card.json").read_text())
    fields = ("calibration", "operating_points", "t_score_interval", "fusion")
    old = Card.model_validate({name: value for name, value in content.items() if name not in fields})
    assert [getattr(old, name) for name in fields] == [None, None, None, ()]
    full = Card.model_validate(
        content
        | {
            "calibration": {"method": "vector", "scale": [1, 1, 1], "bias": [0, 0.5, 0]},
            "operating_points": POINTS,
            "t_score_interval": {"half_width": 0.75, "level": 0.9},
            "fusion": [FUSION],
        }
    )
    full.save(tmp_path)
    again = load_card(tmp_path, check_weights=False)
    assert again == full
    assert isinstance(again.calibration, VectorScaling)
    assert again.sha256 != old.sha256


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"calibration": {"method": "temperature", "temperature": 0}}, "greater than 0"),
        ({"calibration": {"method": "isotonic"}}, "calibration"),
        ({"calibration": {"method": "vector", "scale": [1, 1], "bias": [0, 0, 0]}}, "calibration: not 3 labels"),
        ({"operating_points": POINTS | {"label": "ill"}}, "operating points: no label of"),
        ({"t_score_interval": {"half_width": 1, "level": 0.8}}, "level"),
        ({"fusion": [FUSION | {"intercepts": [0, 1]}]}, "fusion: not 3 labels"),
        ({"fusion": [FUSION | {"coefficients": {"age": [0, 1]}}]}, "fusion: not 3 labels"),
        ({"fusion": [FUSION | {"coefficients": {"weight_kg": [0, 1, 2]}}]}, "unknown inputs .'weight_kg'."),
        ({"fusion": [FUSION], "has_t_score": False}, "unknown inputs .'t_score'."),
        ({"fusion": [FUSION | {"operating_points": POINTS | {"label": "ill"}}]}, "operating points: no label of"),
        ({"fusion": [FUSION | {"inputs": []}]}, "inputs"),
        ({"map_peaks": {"ill": 1.0}}, "map peaks: .'ill'. are not among the labels"),
        ({"map_peaks": {"normal": 0.0}}, "map_peaks.normal"),
    ],
)
def test_numbers_that_do_not_fit_the_model_are_refused_when_the_card_is_read(
    change: dict[str, object], named: str, model_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((model_folder / "card.json").read_text()) | change
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(CardError, match=named):
        load_card(tmp_path, check_weights=False)
