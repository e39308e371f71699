"""Validation as users start it: folders, archives and servers answer alike, and training films are refused."""

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import encoded, knee_like
from rich.console import Console
from support.films import write_rows
from support.shown import evaluation
from typer.testing import CliRunner

from osteolens.card import load_card
from osteolens.cli.root import app
from osteolens.client import Client
from osteolens.datasets.films import read_films
from osteolens.datasets.fingerprints import list_films
from osteolens.errors import DataError
from osteolens.evaluation.external import validate
from osteolens.evaluation.maps.findings import read_map_checks
from osteolens.evaluation.running_server import RunningServer
from osteolens.evaluation.served import opened
from osteolens.films.gate import GATE_FILES
from osteolens.films.sample import drawn_knee
from osteolens.inference.reader import Reader, Request
from osteolens.labels import LABELS
from osteolens.options import header_name
from osteolens.parameters import Fusion, OperatingPoint, OperatingPoints, Temperature, TScoreInterval
from osteolens.reports.validation import Request as Validated
from osteolens.reports.validation import answer_unseen, write_answers
from osteolens.rows import dump

QUIET = Console(file=io.StringIO())
ROOT = Path(__file__).parents[2]
FACTS = ("age", "sex")


@pytest.fixture(scope="module")
def model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model with every kind of fitted parameter."""
    folder = tmp_path_factory.mktemp("weights") / "efficientnet"
    shutil.copytree(model_folder, folder)
    low, high = (OperatingPoint(threshold=share, sensitivity=0.9, specificity=0.9) for share in (0.3, 0.4))
    fusion = Fusion(
        inputs=FACTS,
        intercepts=(0.0, 0.0, -3.0),
        coefficients={"log_probability_osteoporosis": (0.0, 0.0, 0.5), "age": (0.0, 0.01, 0.06)},
    )
    load_card(folder).model_copy(
        update={
            "calibration": Temperature(temperature=2.0),
            "operating_points": OperatingPoints(label="osteoporosis", high_sensitivity=low, high_specificity=high),
            "t_score_interval": TScoreInterval(half_width=1.5),
            "fusion": (fusion,),
            "evaluations": tuple(
                evaluation(subject, {"osteoporosis vs rest": (0.8, 0.7, 0.9)})
                for subject in ("image", "image + age and sex")
            ),
        }
    ).save(folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 films of 12 patients; the age of a patient is not known."""
    folder = tmp_path_factory.mktemp("site")
    rows = []
    for index in range(24):
        (folder / f"{index}.png").write_bytes(encoded(knee_like(120, 96, seed=100 + index)))
        row = {
            "file": f"{index}.png",
            "label": LABELS[index // 2 % 3],
            "group": f"g{index // 2}",
            "t_score": -index / 8,
        }
        rows.append(row | {"age": 40 + index if index > 1 else "", "sex": "female" if index % 4 < 2 else "male"})
    return write_rows(folder / "films.csv", rows)


def answered(model: str | Path, site: Path):
    with opened(str(model)) as finished:
        return finished.answer(read_films(site), QUIET)


def test_a_folder_answers_as_the_reader_does(model, site):
    answers = answered(model, site)
    reader, films = Reader(model), read_films(site)
    image, fused = answers.predictors
    for index in (0, 5, 23):
        known = {"age": f"{films[index].age:g}", "sex": films[index].sex} if index > 1 else {}
        answer = reader.answer(Request(films[index].path.read_bytes(), {"explain": "none"} | known, "a"))
        assert list(answer.probabilities.values()) == pytest.approx(image.probabilities[0, index], abs=1e-6)
        assert answer.t_score.interval_90 == pytest.approx((image.low[0, index], image.high[0, index]), abs=1e-6)
        assert answer.triage == image.zone[0, index]
        expected = answer.fused if answer.fused else answer
        assert list(expected.probabilities.values()) == pytest.approx(fused.probabilities[0, index], abs=1e-6)
        assert (answer.fused is None) == (index < 2)


def test_a_model_that_was_shown_nothing_gives_no_triage(model, site, tmp_path):
    shutil.copytree(model, tmp_path / "bare")
    load_card(model).model_copy(update={"evaluations": ()}).save(tmp_path / "bare")
    assert all((predictor.zone != "").any() for predictor in answered(model, site).predictors)
    bare = answered(tmp_path / "bare", site)
    assert all((predictor.zone == "").all() for predictor in bare.predictors)
    assert bare.evidence.leading.startswith("Answers lead with no finding")
    write_answers(tmp_path / "answers.csv", bare)
    rows = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert {row["finding"] for row in rows} == {"no finding"}
    assert {row["model_output"] for row in rows} <= set(LABELS)


def test_an_archive_answers_as_its_folder(model, site, tmp_path):
    archive = tmp_path / "knee.mar"
    with zipfile.ZipFile(archive, "w") as stored:
        for name in ("card.json", "weights.safetensors"):
            stored.write(model / name, name)
        stored.writestr("model-config.yaml", "handler:\n  backend: eager\n")
    both = [answered(each, site).predictors[1].probabilities for each in (model, archive)]
    np.testing.assert_array_equal(*both)
    (tmp_path / "knee.mar.sha256").write_text(f"{'0' * 64}  knee.mar\n")
    with pytest.raises(DataError, match="is not what was built"):
        answered(archive, site)
    (tmp_path / "no.mar").write_text("no zip")
    for name, message in (("no.mar", "is no archive of a model"), ("absent.mar", "there is no archive")):
        with pytest.raises(DataError, match=message):
            answered(tmp_path / name, site)


class Server:
    """What a server answers, from the reader that a worker has."""

    def __init__(self, folder: Path) -> None:
        self.reader, self.asked = Reader(folder), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        names = ("explain", "force", "age", "sex")
        options = {name: text for name in names if (text := request.headers.get(header_name(name)))}
        if len(request.content) < 100:
            return httpx.Response(
                400, json={"schema": 1, "error": {"code": "unreadable_image", "message": "too short"}}
            )
        return httpx.Response(200, content=dump(self.reader.answer(Request(request.content, options, "a"))))


def ask_server(handler, folder: Path, films):
    with Client("http://127.0.0.1:1", transport=httpx.MockTransport(handler)) as client:
        server = RunningServer(client, "knee", folder.parent)
        return server, server.answer(films, QUIET)


def test_a_server_answers_as_its_folder(model, site, tmp_path):
    (tmp_path / "short.png").write_bytes(b"short")
    films = read_films(site)
    bad = type(films[0])(place="", path=tmp_path / "short.png", file="short.png", group="g", label="normal")
    handler = Server(model)
    server, answers = ask_server(handler, model, [*films, bad])
    here = answered(model, site)
    assert [each.name for each in answers.predictors] == [each.name for each in here.predictors]
    compared = [validate(each, resamples=20).evidence.differences for each in (here, answers)]
    assert [each.predictor for each in compared[0]] == [each.predictor for each in compared[1]]
    assert compared[1][1].predictor == "image + age and sex"
    for name in ("probabilities", "t_score", "low", "high"):
        for ours, theirs in zip(here.predictors, answers.predictors, strict=True):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)
    assert (here.predictors[1].zone == answers.predictors[1].zone).all()
    assert answers.unanswered == ("short.png: too short",)
    assert set(handler.asked) == {"/predictions/knee"}
    assert (answers.name, answers.card_sha256) == ("efficientnet", load_card(model).sha256)
    list_films(model, [films[0].path])  # the folder here of the model that the server names
    assert len(server.training_films().fingerprints) == 1
    (model / "training_films.json").unlink()


def test_a_film_that_lies_upside_down_is_righted_and_one_that_a_server_would_refuse_is_named(model, tmp_path):
    """By folder, archive and server alike: the film upside down has the very answer of the film."""
    shutil.copytree(model, tmp_path / "guarded")
    for name in GATE_FILES:
        shutil.copy(ROOT / "weights" / "gate" / name, tmp_path / "guarded")
    upright = drawn_knee(512, 448, 0)
    noise = np.random.default_rng(0).integers(0, 255, upright.shape, np.uint8)
    for name, pixels in (("up", upright), ("down", upright[::-1, ::-1]), ("noise", noise)):
        (tmp_path / f"{name}.png").write_bytes(encoded(pixels))
    rows = [{"file": f"{name}.png", "label": LABELS[0], "group": name} for name in ("up", "down", "noise")]
    table = write_rows(tmp_path / "films.csv", rows)
    with zipfile.ZipFile(tmp_path / "guarded.mar", "w") as stored:
        for path in (tmp_path / "guarded").iterdir():
            stored.write(path, path.name)
    _, by_server = ask_server(Server(tmp_path / "guarded"), tmp_path / "guarded", read_films(table))
    for answers in (answered(tmp_path / "guarded", table), answered(tmp_path / "guarded.mar", table), by_server):
        up, down, _ = answers.predictors[0].probabilities[0]
        np.testing.assert_allclose(down, up, atol=1e-6)
        righted, refused = answers.at_gate
        assert righted.startswith(
            "1 of 3 films lay turned or inverted and were righted, as a server does, such as down.png: the film lay "
            "turned by 180 degrees"
        )
        assert refused.startswith("A server would refuse 1 of 3 films, such as noise.png: ")
        assert refused.endswith(" The figures hold them.")
    assert answered(model, table).at_gate == ()


def test_a_server_that_changes_its_model_is_refused(model, site):
    handler = Server(model)
    films = read_films(site)

    def changing(request: httpx.Request) -> httpx.Response:
        changed = json.loads(handler(request).content)
        changed["model"]["version"] = "9.9" if request.content == films[7].path.read_bytes() else "1.0"
        return httpx.Response(200, json=changed)

    with pytest.raises(DataError, match="changed its model while films were answered"):
        ask_server(changing, model, films)


def evaluate(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def page(model, site, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    done = evaluate(model, site, "--out", out, "--compare", model, "--half-width", "0.1", "--maps", "2")
    assert done.exit_code == 0, done.output
    assert "not recorded" in (out / "report.html").read_text()
    return out


def test_the_command_leaves_page_answers_and_figures(page, site):
    text = (page / "report.html").read_text()
    for part in (
        "efficientnet 1.0: validation on films.csv", "Calibration in the large and slope", "How many films",
        "Compared with efficientnet 1.0", "Subgroups", "Bland-Altman", "T-score slope", "baseline: age and sex",
        "24 films of 12 groups", "not recorded", "2 films of 2 groups",
    ):  # fmt: skip
        assert part in text, part
    assert "Calibration methods" not in text  # nothing was fitted here
    with (page / "answers.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["predictor"] for row in rows] == ["image"] * 24 + ["image + age and sex"] * 24
    assert all(abs(sum(float(row[f"probability_{label}"]) for label in LABELS) - 1) < 1e-4 for row in rows)
    assert [row["finding"] for row in rows] == [row["model_output"] for row in rows]  # its card shows both parts
    assert text.index("Answers lead with the label from the film alone") < text.index("In plain words")
    assert read_map_checks(page / "maps.json").films == 2
    stored = json.loads((page / "validation.json").read_text())
    assert (stored["table"], stored["films"]) == (str(site), 24)
    assert stored["wanted_half_width"] == 0.1
    assert stored["leads_with"].startswith("Answers lead with the label from the film alone")
    same = stored["comparison"]["differences"][0]["metrics"]
    assert all(metric["value"] == 0 for metric in same)


def test_films_that_were_trained_on_are_refused_or_left_out(model, site, tmp_path):
    folder = tmp_path / "efficientnet"
    shutil.copytree(model, folder)
    list_films(folder, [site.parent / "3.png", site.parent / "20.png"])
    refused = evaluate(folder, site, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "has learned from 2 of 24 films, such as 3.png (the same file), 20.png (the same file)" in refused.output
    assert not (tmp_path / "out").exists()
    with opened(str(folder)) as finished:
        checked = answer_unseen(finished, read_films(site), Validated(str(folder), site, leave_out=True), QUIET)
    files = {film.file for film in checked.answers.predictions.films}
    assert len(files) == 20
    assert files.isdisjoint({"2.png", "3.png", "20.png", "21.png"})  # the other films of both patients go with them
    assert "20 films remain" in checked.remarks[0]
    # An archive carries the list too.
    with zipfile.ZipFile(tmp_path / "knee.mar", "w") as archive:
        for name in ("card.json", "weights.safetensors", "training_films.json"):
            archive.write(folder / name, name)
    assert "has learned from 2 of 24 films" in evaluate(tmp_path / "knee.mar", site).output


def test_cut_out_parts_are_found_where_the_training_films_are_at_hand(model, tmp_path):
    rows = []
    for index in range(24):
        film = knee_like(300, 240, seed=200 + index)
        (tmp_path / f"{index}.png").write_bytes(encoded(film if index != 5 else film[30:270, 20:220]))
        rows.append({"file": f"{index}.png", "label": LABELS[index % 3], "group": f"g{index}"})
    site = write_rows(tmp_path / "films.csv", rows)
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "whole.png").write_bytes(encoded(knee_like(300, 240, seed=205)))
    refused = evaluate(model, site, "--trained-on", tmp_path / "trained", "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "has learned from 1 of 24 films, such as 5.png (a part" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("http://127.0.0.1:1/predictions/knee", "SITE", "--maps", "5"), "a server does not give its weights"),
        (("absent", "SITE"), "no card.json in absent"),
        (("MODEL", "absent.csv"), "absent.csv"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(model, site, tmp_path, arguments, message):
    given = [{"SITE": site, "MODEL": model}.get(argument, argument) for argument in arguments]
    done = evaluate(*given, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
