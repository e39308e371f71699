"""A picture that the gate refuses, on its way from the reader through every surface but the app."""

import json
from pathlib import Path

import httpx
import pytest
from support.dicom import dataset, knee, save
from test_schema import ANSWER

from osteolens.cli.answers import predict_films
from osteolens.client import Client
from osteolens.errors import InvalidOption
from osteolens.inference.reader import Reader, Request
from osteolens.options import parse_options
from osteolens.quality import Quality, Reason
from osteolens.rows import FilmRefused, Refusal, dump, parse
from osteolens.schema import Answer
from osteolens.serving.requests import answer, response, tally

SAYS = "the header names body part CHEST, expected KNEE"
CHEST = save(dataset(knee(), 12, BodyPartExamined="CHEST", ViewPosition="LL"))
REFUSED = ANSWER | {
    "label": None, "probabilities": {}, "t_score": None, "triage": None, "fold_spread": None, "fused": None,
    "explanations": [],
    "quality": {"accepted": False, "reasons": [{"code": "other_body_part", "message": SAYS}], "warnings": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(model_folder)


def refused() -> FilmRefused:
    row = parse(json.dumps(REFUSED).encode())
    assert isinstance(row, Refusal)
    return FilmRefused(row)


def test_a_refusal_is_a_row_of_its_own() -> None:
    row = refused().row
    assert json.loads(dump([row, row]))[1]["quality"]["reasons"] == [{"code": "other_body_part", "message": SAYS}]
    assert json.loads(dump(row))["label"] is None


def test_a_header_that_names_a_chest_seen_from_the_side_gives_both_reasons(reader: Reader) -> None:
    with pytest.raises(FilmRefused) as caught:
        reader.answer(Request(CHEST, {}, "a"))
    row = caught.value.row
    assert [reason.code for reason in row.quality.reasons] == ["other_body_part", "other_view"]
    assert (row.id, row.film.width, row.model.card_sha256) == ("a", 80, reader.card.sha256)
    assert str(caught.value) == (
        f"{SAYS}; the header names the view LL, expected AP or PA (force=true has it answered all the same)"
    )


def test_force_has_it_answered_and_the_answer_still_says_why_not(reader: Reader) -> None:
    forced = reader.answer(Request(CHEST, {"force": "true"}, "a"))
    assert not forced.quality.accepted
    assert [reason.code for reason in forced.quality.reasons] == ["other_body_part", "other_view"]
    assert sum(forced.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(("text", "force"), [("true", True), ("1", True), ("false", False), (" ", False)])
def test_force_is_yes_or_no(text: str, force: bool) -> None:
    assert parse_options({"force": text}, ("normal", "other")).force is force


def test_another_word_shows_a_valid_one() -> None:
    with pytest.raises(InvalidOption, match=r"option force is 'perhaps'.*for example force=true"):
        parse_options({"force": "perhaps"}, ("normal", "other"))


def test_a_server_sends_it_with_status_200_beside_other_films_and_counts_it(reader: Reader) -> None:
    good = save(dataset(knee(), 12))
    results = answer(reader, {"data": CHEST, "data2": good}, {}, "id")
    status, body, _ = response(results)
    first, second = json.loads(body)
    assert (status, first["label"], first["quality"]["accepted"]) == (200, None, False)
    assert second["quality"] == Quality(source=reader.answer(Request(good, {}, "b")).quality.source).model_dump(
        mode="json"
    )
    assert tally(results[0][1]) == ("refused", "none", "other_body_part", {})
    assert answer(reader, {"data": CHEST, "force": b"true"}, {}, "id")[0][1].quality.accepted is False  # type: ignore[union-attr]


def test_the_client_raises_it_without_a_second_try() -> None:
    requests = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=REFUSED)

    with Client(key="k", transport=httpx.MockTransport(handle)) as client, pytest.raises(FilmRefused) as caught:
        client.predict(b"film", options={"force": "false"})
    assert (caught.value.code, caught.value.message, len(requests)) == ("other_body_part", SAYS, 1)
    assert requests[0].headers["X-OsteoLens-Force"] == "false"


@pytest.mark.parametrize("json_output", [False, True])
def test_predict_says_not_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, json_output: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    forced = Answer.model_validate(
        ANSWER
        | {"explanations": [], "quality": Quality(accepted=False, reasons=(Reason(code="metal", message="a nail"),))}
    )

    def ask(path: Path, options: object) -> Answer:
        if path.name == "chest.dcm":
            raise refused()
        return forced

    files = [tmp_path / "chest.dcm", tmp_path / "nail.png"]
    status = predict_films(files, ask, {}, tmp_path / "out", opacity=0.5, json_output=json_output)
    shown = capsys.readouterr().out
    assert status == 3
    if json_output:
        first, second = json.loads(shown)
        assert first["answer"]["quality"]["reasons"][0]["code"] == "other_body_part"
        assert second["answer"]["quality"]["accepted"] is False
    else:
        lines = {name: next(line for line in shown.splitlines() if name in line) for name in ("chest.dcm", "nail.png")}
        assert "not answered" in lines["chest.dcm"]
        assert SAYS in lines["chest.dcm"]
        assert "a nail" in lines["nail.png"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["nail.json"]
