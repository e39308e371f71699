import json

import pytest
from pydantic import ValidationError

from osteolens.errors import EmptyInput, InvalidOption
from osteolens.labels import LABELS
from osteolens.options import header_name, parse_options
from osteolens.rows import ErrorAnswer, content_digest, dump, parse
from osteolens.schema import Answer

ANSWER = {
    "schema": 1,
    "id": "a",
    "label": "osteopenia",
    "probabilities": {"normal": 0.1, "osteopenia": 0.6, "osteoporosis": 0.3},
    "t_score": {"estimate": -1.8, "interval_90": [-2.9, -0.7]},
    "fold_spread": None,
    "triage": "uncertain",
    "fused": {
        "inputs": ["age", "sex"],
        "label": "osteoporosis",
        "probabilities": {"normal": 0.0, "osteopenia": 0.25, "osteoporosis": 0.75},
        "t_score": {"estimate": -2.6, "interval_90": [-3.0, -2.25]},
        "triage": "refer",
    },
    "evidence": {
        "border": "osteoporosis",
        "condition": "osteoporosis",
        "image": {
            "inputs": [], "film_has_weight": True, "question": "osteoporosis vs rest",
            "auroc": {"value": 0.8, "low": 0.7, "high": 0.9}, "beyond_acquisition": None,
            "films": 170, "groups": 169, "collection": "films", "age_and_sex": 0.89, "gain": None,
            "beats_chance": True, "beats_age_and_sex": False, "also_shown": [], "sentence": "It knows something.",
        },
        "fused": [],
    },
    "lead": {
        "part": "image", "headline": "osteopenia", "text": "osteopenia from the film alone",
        "sentence": "It knows something.", "label": "osteopenia", "probability": 0.6,
        "t_score": {"estimate": -1.8, "interval_90": [-2.9, -0.7]}, "triage": "uncertain", "helpful_facts": [],
    },
    "quality": {
        "accepted": True, "reasons": [], "warnings": [], "corrections": [], "unfamiliarity": 0.2, "source": None,
    },
    "film": {"width": 10, "height": 20},
    "explanations": [{"method": "gradcam", "target": "osteopenia", "map_png": "aGk=", "peak": 3.1, "strength": 0.5}],
    "knees": [{
        "box": [0, 1, 9, 10], "joint": [4.5, 6.0], "plateau_width": 7.5, "turn": -2.0,
        "regions": {"joint": [1, 5, 8, 7]}, "side": "left", "side_from": "fibula", "label": "osteopenia",
        "probabilities": {"normal": 0.1, "osteopenia": 0.6, "osteoporosis": 0.3}, "t_score": None, "fold_spread": None,
        "triage": None, "explanations": [],
    }],
    "model": {"name": "knee", "version": "1.0", "card_sha256": "00"},
    "timing_ms": {"decode": 2.0, "model": 3.0, "explain": 0.1},
}  # fmt: skip


def test_the_contract_round_trips() -> None:
    answer = parse(json.dumps(ANSWER).encode())
    assert isinstance(answer, Answer)
    assert json.loads(dump(answer)) == ANSWER
    error = ErrorAnswer.of(EmptyInput("the body is empty", "send a film"))
    assert json.loads(dump([answer, error])) == [
        ANSWER,
        {"schema": 1, "error": {"code": "empty_body", "message": "the body is empty", "hint": "send a film"}},
    ]
    assert parse(dump([answer, error])) == [answer, error]


def test_an_answer_of_before_these_fields_is_still_read() -> None:
    later = ("fold_spread", "triage", "fused", "evidence", "lead", "knees")
    old = {name: value for name, value in ANSWER.items() if name not in later}
    old["explanations"] = [{"method": "gradcam", "target": "osteopenia", "map_png": "aGk=", "peak": 3.1}]
    answer = parse(json.dumps(old).encode())
    assert isinstance(answer, Answer)
    assert answer.explanations[0].strength is None
    assert (answer.fold_spread, answer.triage, answer.fused) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [{"triage": "ruled out"}, {"fused": {"osteoporosis": 0.5}}, {"fused": ANSWER["fused"] | {"inputs": ["bmi"]}}],
)
def test_other_zones_and_facts_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parse(json.dumps(ANSWER | change).encode())


def test_header_names() -> None:
    assert header_name("weight_kg") == "X-OsteoLens-Weight-Kg"
    assert header_name("explain") == "X-OsteoLens-Explain"


def test_options_are_read_leniently_where_that_is_safe() -> None:
    options = parse_options({"explain": " GradCAM++ ", "sex": "Female", "age": "63", "target": ""}, LABELS)
    assert (options.explain, options.sex, options.age, options.target) == ("gradcam++", "female", 63.0, None)
    assert parse_options({}, LABELS).explain == "gradcam"


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"explain": "gradcamm"}, "option explain is 'gradcamm'", "for example explain=gradcam"),
        ({"age": "old"}, "option age is 'old'", "for example age=63"),
        ({"age": "-1"}, "option age is '-1'", "for example age=63"),
        ({"age": "nan"}, "option age is 'nan'", "for example age=63"),
        ({"height_m": "162"}, "option height_m is '162'", "for example height_m=1.62"),
        ({"sex": "x"}, "option sex is 'x'", "for example sex=female"),
        ({"target": "arthritis"}, "target is 'arthritis'", "normal, osteopenia, osteoporosis, all"),
        ({"colour": "red"}, "unknown option 'colour'", "explain, target, age"),
    ],
)
def test_a_wrong_option_is_named_with_a_valid_value(values: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(InvalidOption, match=message) as caught:
        parse_options(values, LABELS)
    assert hint in caught.value.hint


FREE = ("Östeopenie", "normal/mild", "KL2", "10%")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Östeopenie", "Östeopenie"),
        ("O\u0308STEOPENIE", "Östeopenie"),  # the letter and its dots apart, as macOS writes them
        ("%C3%96steopenie", "Östeopenie"),
        ("Ã\x96steopenie", "Östeopenie"),
        ("normal/mild", "normal/mild"),
        (" kl2 ", "KL2"),
        ("10%", "10%"),
        ("10%25", "10%"),
        ("ALL", "all"),
    ],
)
def test_a_target_is_any_label_of_the_model(text, label):
    assert parse_options({"target": text}, FREE).target == label


def test_labels_that_differ_in_case_alone_are_told_apart():
    assert parse_options({"target": "a"}, ("A", "a")).target == "a"
    assert parse_options({"target": "A"}, ("A", "a")).target == "A"


def test_a_digest_is_that_of_the_standards_example() -> None:
    """RFC 9530, appendix B.1: the body `{"hello": "world"}` and a line feed."""
    assert content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
