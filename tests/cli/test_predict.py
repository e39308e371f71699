"""What `osteolens predict` shows and writes."""

import base64
import itertools
import json
import os
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from PIL import Image
from support.shown import evidence
from test_schema import ANSWER

from osteolens.cli.answers import predict_films
from osteolens.errors import DataError, EmptyInput
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
    predict_films(files, ask, {}, tmp_path / "out", opacity=0.5, json_output=False)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_interval_triage_and_the_fused_answer_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([{"fused": FUSED}, None], tmp_path, capsys)
    assert all(column in lines[1] for column in ("T-score", "triage", "remarks"))
    image, fused, refused = (next(line for line in lines if word in line) for word in ("0.png", "height", "1.png"))
    for text in ("osteopenia", "osteoporosis 0.30", "-1.8 (-2.9 to -0.7)", "uncertain"):
        assert text in image
    for text in ("with age, sex, weight and height, output", "osteoporosis 0.75", "-2.6 (-3.0 to -2.2)", "refer"):
        assert text in fused
    assert "the body is empty" in refused
    assert any("T-scores with 90 % intervals. Low suspicion rules nothing out." in line for line in lines)


def test_a_model_that_is_not_shown_to_beat_chance_gives_no_finding_and_says_what_would_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = evidence(0.46, fused=0.8)
    lines = shown([{"evidence": known.model_dump(), "fused": None, "triage": None}] * 2, tmp_path, capsys)
    first, second = next((a, b) for a, b in itertools.pairwise(lines) if "0.png" in a)
    assert "no finding" in first
    assert not any(word in first for word in ("osteo", "normal", "0.6", "-1.8"))
    assert all(text in second for text in ("film alone, output", "osteopenia", "osteoporosis 0.30", "-1.8"))
    assert lines.count(known.image.sentence) == 1
    assert lines[-1] == "For an answer that counts, add age and sex of the patient: --age 63 --sex female"


def test_the_fused_answer_leads_where_only_it_is_shown_to_beat_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = evidence(0.46, fused=0.8)
    lines = shown([{"evidence": known.model_dump(), "triage": None}], tmp_path, capsys)
    first, second = next((a, b) for a, b in itertools.pairwise(lines) if "0.png" in a)
    assert all(text in first for text in ("osteoporosis with age and sex", "osteoporosis 0.75", "-2.6", "refer"))
    assert all(text in second for text in ("film alone, output", "osteopenia 0.60"))
    assert lines[-1] == known.fused[0].sentence


@pytest.mark.parametrize(("share", "text"), [(0.003, "<0.01"), (0.0, "0.00"), (0.005, "0.01"), (0.996, ">0.99")])
def test_rounding_makes_nothing_impossible_or_certain(
    share: float, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = {"normal": 1 - share, "osteopenia": 0.0, "osteoporosis": share}
    assert f"osteoporosis {text}" in "".join(
        shown([BARE | {"label": "normal", "probabilities": shares}], tmp_path, capsys)
    )


def test_a_model_without_parameters_shows_no_empty_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([BARE], tmp_path, capsys)
    assert len([line for line in lines if "0.png" in line or "with " in line]) == 1
    assert not any(word in line for line in lines for word in ("suspicion", "T-score", "triage"))
    assert any("not a diagnostic device" in line for line in lines)


def answered(files: list[Path], out: Path, *, json_output: bool = False) -> None:
    """Ask about films, each of which gets its own path as the answer's id."""

    def ask(path: Path, options: object) -> Answer:
        return Answer.model_validate(ANSWER | BARE | {"explanations": [], "id": os.fsencode(path).hex()})

    predict_films(files, ask, {}, out, opacity=0.5, json_output=json_output)


def written(out: Path) -> dict[str, bytes]:
    """The film that each file of answers is of, by the file's name."""
    return {path.name: bytes.fromhex(json.loads(path.read_text())["id"]) for path in out.iterdir()}


def test_films_of_one_name_keep_an_answer_each_in_one_call_and_in_later_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answered([Path("a/knee.jpg"), Path("b/knee.jpg"), Path("knee-2.jpg"), Path("c/KNEE.png")], out)
    expected = {
        "knee.json": b"a/knee.jpg", "knee-2.json": b"b/knee.jpg", "knee-2-2.json": b"knee-2.jpg",
        "KNEE-3.json": b"c/KNEE.png",
    }  # fmt: skip
    assert written(out) == expected
    answered([Path("b/knee.jpg")], out)  # the same film again: its own file
    assert written(out) == expected
    answered([Path("d/knee.jpg")], out)
    later = written(out)
    assert expected.items() <= later.items()
    assert sorted(later.values()) == sorted([*expected.values(), b"d/knee.jpg"])


def test_films_of_one_name_are_told_apart_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered([Path("a/knee.jpg"), Path("b/knee.jpg"), Path("c/hip.jpg")], tmp_path / "out")
    shown = capsys.readouterr().out
    assert "a/knee.jpg" in shown
    assert "b/knee.jpg" in shown
    assert "c/hip.jpg" not in shown


@pytest.mark.parametrize("json_output", [False, True])
def test_a_name_that_is_no_utf_8_is_shown_and_its_answer_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], json_output: bool
) -> None:
    film = Path(os.fsdecode(b"kn\xe9e\n.jpg"))
    answered([film], tmp_path / "out", json_output=json_output)
    assert r"kn\udce9e\n.jpg" in capsys.readouterr().out
    [answer_file] = (tmp_path / "out").iterdir()
    assert os.fsencode(answer_file.name) == b"kn\xe9e\n.json"


def test_a_message_with_such_a_name_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(path: Path, options: object) -> Answer:
        raise DataError("there is no " + os.fsdecode(b"gone\xff.jpg"))

    assert predict_films([Path("gone.jpg")], ask, {}, tmp_path, opacity=0.5, json_output=False) == 3
    assert r"gone\udcff.jpg" in capsys.readouterr().out


def test_names_are_never_shortened_for_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a-name-of-" + "x" * 200 + ".jpg"
    monkeypatch.delenv("COLUMNS")
    answered([Path(name)], tmp_path / "out")
    assert name in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    answered([Path(name)], tmp_path / "out")
    wrapped = capsys.readouterr().out
    assert "…" not in wrapped
    assert wrapped.count("x") >= 200


def test_maps_of_any_label_are_written_under_names_of_their_own(tmp_path: Path) -> None:
    film = tmp_path / "0.png"
    Image.fromarray(knee_like()).save(film)
    maps = [
        {"method": "gradcam", "target": label, "map_png": base64.b64encode(encoded(knee_like())).decode(), "peak": 1.0}
        for label in ("normal/mild", "normal mild", "Östeopenie", "../a")
    ]
    answer = Answer.model_validate(ANSWER | {"explanations": maps})
    predict_films([film], lambda *_: answer, {}, tmp_path / "out", opacity=0.5, json_output=True)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0...%2Fa.png", "0.json", "0.normal mild.png", "0.normal%2Fmild.png", "0.Östeopenie.png"]
