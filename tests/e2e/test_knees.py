"""A really served model that reads each knee, with either engine: made-up legs, and what cannot be read by its name."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from conftest import encoded
from numpy.typing import NDArray
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.films.overlay import decode_map
from osteolens.films.sample import drawn_knee
from osteolens.labels import LABELS
from osteolens.serving.torchserve import Server

Picture = NDArray[np.uint8]
NOISE: Picture = np.random.default_rng(0).integers(0, 255, (600, 480), np.uint8)


@pytest.fixture(scope="module", params=["uvicorn", pytest.param("torchserve", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Server:
    """The engine of most tests, and in slow ones the other."""
    running: Server = request.getfixturevalue(request.param)
    return running


def legs(*seeds: int) -> Picture:
    return np.hstack([drawn_knee(600, 400, seed) for seed in seeds])


def ask(client: httpx.Client, film: Picture) -> dict:
    return client.post("/predictions/knees", content=encoded(film)).raise_for_status().json()


def test_two_made_up_legs_are_two_knees(client: httpx.Client) -> None:
    film = legs(3, 8)
    answer = ask(client, film)
    right, left = answer["knees"]
    assert [(knee["side"], knee["side_from"]) for knee in (right, left)] == [
        ("right", "position"),
        ("left", "position"),
    ]
    for knee, middle in ((right, 200), (left, 600)):
        x_min, y_min, x_max, y_max = knee["box"]
        # The drawn joint lies within 30 pixels of its leg's middle, and from 0.46 to 0.54 of the height.
        assert abs(knee["joint"][0] - middle) < 40
        assert 260 < knee["joint"][1] < 340
        assert x_min < knee["joint"][0] < x_max
        assert y_min < knee["joint"][1] < y_max
        assert sum(knee["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert knee["label"] == max(knee["probabilities"], key=knee["probabilities"].get)
        # Its map covers the whole film, and is empty outside of its own box.
        levels = cv2.resize(decode_map(knee["explanations"][0]["map_png"]), (800, 600))
        assert levels.max() > 200
        outside = levels.copy()
        outside[max(0, y_min - 30) : y_max + 30, max(0, x_min - 30) : x_max + 30] = 0
        assert outside.max() < 30
    worse = max((right, left), key=lambda knee: LABELS.index(knee["label"]))
    assert answer["label"] == worse["label"]
    assert answer["probabilities"] in (right["probabilities"], left["probabilities"])
    assert ask(client, legs(3))["knees"][0]["box"] != answer["knees"][0]["box"]


def turned(film: Picture) -> Picture:
    height, width = film.shape
    return cv2.warpAffine(film, cv2.getRotationMatrix2D((width / 2, height / 2), -20, 1), (width, height))


def written(film: Picture) -> Picture:
    film = film.copy()
    for number, line in enumerate(("NOT A FILM TO READ", "OTHER PATIENT 123", "SEE THE NEXT PAGE")):
        cv2.putText(film, line, (20, 230 + number * 70), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 255, 4)
    return film


def collage(film: Picture) -> Picture:
    return np.tile(cv2.resize(film, None, fx=0.5, fy=0.5), (2, 2))


@pytest.mark.parametrize(
    ("code", "film"),
    [
        (
            "no_knee",
            lambda: cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (600, 480), np.uint8), (0, 0), 6),
        ),
        ("several_knees", lambda: np.hstack([drawn_knee(600, 360, seed) for seed in (1, 2, 4)])),
        ("knee_cut_off", lambda: legs(3, 8)[:, 130:]),
        ("turned", lambda: turned(legs(3, 8))),
        ("written", lambda: written(legs(3, 8))),
        ("collage", lambda: collage(legs(3, 8))),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(
    client: httpx.Client, code: str, film: Callable[[], Picture]
) -> None:
    refusal = ask(client, film())
    assert (refusal["label"], refusal["quality"]["accepted"], refusal["explanations"]) == (None, False, [])
    assert code in [reason["code"] for reason in refusal["quality"]["reasons"]]
    assert all("expected" in reason["message"] for reason in refusal["quality"]["reasons"])


def test_a_batch_and_an_evaluation_have_a_row_for_each_knee(
    client: httpx.Client, server: Server, tmp_path: Path
) -> None:
    films = {f"{number}.png": legs(number, number + 20) for number in range(10)} | {"one.png": legs(3)}
    for name, film in films.items():
        (tmp_path / name).write_bytes(encoded(film))
    found = {name: ask(client, film)["knees"] for name, film in films.items()}
    both = [name for name, knees in found.items() if [knee["side"] for knee in knees] == ["right", "left"]]
    assert len(both) >= 8, "drawn legs on which the finder sees two knees"
    rows = [
        f"{name},{LABELS[(number + place) % 3]},{name},{side}"
        for number, name in enumerate(both)
        for place, side in enumerate(("left", "right"))
    ]
    table = tmp_path / "films.csv"
    table.write_text(
        "\n".join(["file,label,group,side", *rows, f"one.png,{LABELS[0]},one,", f"{both[0]},{LABELS[0]},a,"])
    )
    key = ("--key-file", str(server.key_file))
    out = tmp_path / "batch"
    batch = [
        "batch",
        *(str(tmp_path / name) for name in (both[0], "one.png")),
        "--server",
        server.url,
        "--model",
        "knees",
    ]
    done = CliRunner().invoke(app, [*batch, "--out", str(out), *key])
    assert done.exit_code == 0, done.output
    with (out / "knees.csv").open(newline="") as stream:
        knees = list(csv.DictReader(stream))
    assert [(Path(row["file"]).name, row["knee"], row["side"]) for row in knees] == [
        (both[0], "1", "right"), (both[0], "2", "left"), ("one.png", "1", found["one.png"][0]["side"] or ""),
    ]  # fmt: skip
    for row, knee in zip(knees, found[both[0]] + found["one.png"], strict=True):
        assert [int(row[edge]) for edge in ("left", "top", "right", "bottom")] == knee["box"]
        assert (row["finding"], row["model_output"]) == (knee["label"], knee["label"])  # its card shows that it knows
        assert float(row[f"probability_{LABELS[2]}"]) == pytest.approx(knee["probabilities"][LABELS[2]], abs=1e-6)
    with (out / "results.csv").open(newline="") as stream:
        nested = [json.loads(row["knees"]) for row in csv.DictReader(stream)]
    assert [[knee["box"] for knee in each] for each in nested] == [
        [knee["box"] for knee in found[name]] for name in (both[0], "one.png")
    ]
    out = tmp_path / "evaluation"
    done = CliRunner().invoke(app, ["evaluate", f"{server.url}/predictions/knees", str(table), "--out", str(out), *key])
    assert done.exit_code == 0, done.output
    with (out / "answers.csv").open(newline="") as stream:
        answers = {row["file"]: row for row in csv.DictReader(stream)}
    assert len(answers) == 2 * len(both) + 1
    for name in both:
        for side, knee in zip(("right", "left"), found[name], strict=True):
            shares = [float(answers[f"{name}#{side}"][f"probability_{label}"]) for label in LABELS]
            assert shares == pytest.approx(list(knee["probabilities"].values()), abs=1e-5)
    unanswered = json.loads((out / "validation.json").read_text())["unanswered"]
    assert unanswered == [f"{both[0]}: the film shows 2 knees, and the row does not say which it is about"]
