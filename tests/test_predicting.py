"""The table that `osteolens predict` prints."""

from pathlib import Path

import pytest
from test_schema import ANSWER

from osteolens.errors import EmptyInput
from osteolens.predicting import predict
from osteolens.schema import Answer

FUSED = {
    "inputs": ["age", "sex", "weight_kg", "height_m"],
    "label": "osteoporosis",
    "probabilities": {"normal": 0.0, "osteopenia": 0.25, "osteoporosis": 0.75},
    "t_score": {"estimate": -2.6, "interval_90": [-3.0, -2.25]},
    "triage": "refer",
}
BARE = {"t_score": None, "triage": None, "fused": None}


def shown(answers: list[dict[str, object] | None], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines of the table; a film without an answer is refused."""
    left = iter(answers)

    def ask(path: Path, options: object) -> Answer:
        answer = next(left)
        if answer is None:
            raise EmptyInput("the body is empty", "send a film")
        return Answer.model_validate(ANSWER | {"explanations": []} | answer)

    files = [tmp_path / f"{index}.png" for index in range(len(answers))]
    predict(files, ask, {}, tmp_path / "out", opacity=0.5, json_output=False)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_interval_triage_and_the_fused_answer_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([{"fused": FUSED}, None], tmp_path, capsys)
    assert all(column in lines[1] for column in ("T-score", "triage", "remarks"))
    image, fused, refused = (next(line for line in lines if word in line) for word in ("0.png", "weight", "1.png"))
    for text in ("osteopenia", "osteoporosis 0.30", "-1.8 (-2.9 to -0.7)", "uncertain"):
        assert text in image
    for text in ("with age, sex, weight, height", "osteoporosis 0.75", "-2.6 (-3.0 to -2.2)", "refer"):
        assert text in fused
    assert "the body is empty" in refused
    assert any("T-scores with 90 % intervals. Low suspicion rules nothing out." in line for line in lines)


def test_a_model_without_parameters_shows_no_empty_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([BARE], tmp_path, capsys)
    assert len([line for line in lines if "0.png" in line or "with " in line]) == 1
    assert not any(word in line for line in lines for word in ("suspicion", "T-score", "triage"))
    assert any("not a diagnostic device" in line for line in lines)
