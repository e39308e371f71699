"""GET /reviews/export.csv, coco.json and training.zip."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accounts.models import AuditEntry
from django.test import Client
from films.models import Film
from numpy.typing import NDArray
from reviews.exports.coco import annotation, run_lengths
from reviews.exports.training import joined, truth_of
from reviews.models import Review
from web_films import film_bytes

from osteolens.datasets.films import read_films
from osteolens.films.read import read

Mask = NDArray[np.bool_]


def table(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def unpacked(response: Any, folder: Path) -> Path:
    assert response.status_code == 200
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as packed:
        packed.extractall(folder)
    return folder


def test_csv(
    reviewer: Client, open_film: Film, say: Callable[..., Any], draw_url: Callable[..., str], left_third: Mask
) -> None:
    say(reviewer, open_film, seen_label="normal", remark="=1+1", dxa_t_score="-0.5", region=draw_url(left_third))
    [row] = table(reviewer.get("/reviews/export.csv"))
    wanted = {
        "film": str(open_film.id), "reviewer": "eve", "blind": "1", "model": "knee", "answer": "osteopenia",
        "verdict": "wrong", "seen_label": "normal", "dxa_t_score": "-0.5", "label_said": "normal", "pointing": "0.0",
        "mass_inside": "0.0", "iou": "0.0", "remark": "'=1+1", "map_rating": "",
    }  # fmt: skip
    assert wanted.items() <= row.items()
    assert float(row["region_area"]) == pytest.approx(1 / 3)
    assert "secret" not in str(row)
    assert AuditEntry.objects.filter(action="export", user_name="eve", detail="table of 1 reviews").exists()


def test_coco_holds_region_area_and_box(
    client: Client, send: Callable[..., Any], say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    film = Film.objects.get(pk=send(film_bytes(size=(2048, 1000))).json()["id"])
    mask = np.zeros((500, 1024), np.bool_)
    mask[100:200, 300:400] = True
    mask[120:150, 320:330] = False  # a hole
    mask[400, 1000] = True  # a second part
    say(client, film, seen_label="normal", region=draw_url(mask))
    document = json.loads(client.get("/reviews/coco.json").content)
    [picture] = document["images"]
    assert picture == {"id": 1, "file_name": f"films/{film.id}.png", "width": 2048, "height": 1000}
    [annotation] = document["annotations"]
    assert (annotation["image_id"], annotation["category_id"], annotation["iscrowd"]) == (
        1,
        document["categories"][0]["id"],
        1,
    )
    assert annotation["area"] == 4 * (100 * 100 - 30 * 10 + 1)
    assert annotation["bbox"] == [600, 200, 1402, 602]
    assert (decoded(annotation["segmentation"]) == mask.repeat(2, 0).repeat(2, 1)).all()
    assert annotation["attributes"]["reviewer"] == "ada"


def decoded(segmentation: dict[str, Any]) -> Mask:
    """A run-length mask as the format's description has it: runs of 0 and 1 by turns, column by column."""
    height, width = segmentation["size"]
    values = np.arange(len(segmentation["counts"])) % 2 == 1
    return np.repeat(values, segmentation["counts"]).reshape(width, height).T


def test_run_lengths_by_hand() -> None:
    mask = np.array([[False, True, True], [True, True, False]])
    assert run_lengths(mask) == [1, 4, 1]
    assert run_lengths(~mask) == [0, 1, 4, 1]
    assert run_lengths(np.ones((2, 2), np.bool_)) == [0, 4]
    assert annotation(3, 7, mask) == {
        "id": 3, "image_id": 7, "category_id": 1, "iscrowd": 1, "area": 4, "bbox": [0, 0, 3, 2],
        "segmentation": {"size": [2, 3], "counts": [1, 4, 1]},
    }  # fmt: skip


def test_coco_without_regions_is_a_valid_empty_set(client: Client, film: Film, say: Callable[..., Any]) -> None:
    say(client, film, seen_label="normal")
    document = json.loads(client.get("/reviews/coco.json").content)
    assert (document["images"], document["annotations"], len(document["categories"])) == ([], [], 1)


def test_the_training_table_is_read_by_the_trainer_as_it_is(
    client: Client, send: Callable[..., Any], say: Callable[..., Any], tmp_path: Path
) -> None:
    facts = {"age": "63", "sex": "female", "weight_kg": "71.5", "height_m": "1.62", "label_text": "=HYPERLINK(1)"}
    sent = [send(film_bytes(seed, kind), f"{seed}.x", **facts) for seed, kind in enumerate(("JPEG", "PNG", "TIFF"))]
    films = [Film.objects.get(pk=response.json()["id"]) for response in sent]
    say(client, films[0], seen_label="normal")
    say(client, films[1], seen_label="?", dxa_t_score="-2.9")
    say(client, films[2], seen_label="?")
    folder = unpacked(client.get("/reviews/training.zip"), tmp_path / "a")
    normal, porosis = read_films(folder / "films.csv")
    assert (normal.label, normal.age, normal.sex, normal.weight_kg, normal.height_m) == (
        "normal",
        63,
        "female",
        71.5,
        1.62,
    )
    assert np.isnan(normal.t_score)
    assert (porosis.label, porosis.t_score, porosis.family) == ("osteoporosis", -2.9, "png")
    assert normal.group != porosis.group
    for film, row in zip(films, (normal, porosis), strict=False):
        original = read(film_bytes(films.index(film), ("JPEG", "PNG")[films.index(film)])).pixels
        assert (read(row.path).pixels == original).all()
    [left_out] = csv.DictReader((folder / "left_out.csv").open())
    assert left_out == {"film": str(films[2].id), "reason": "no review says a label"}
    together = read_films(unpacked(client.get("/reviews/training.zip?group=label"), tmp_path / "b") / "films.csv")
    assert [film.group for film in together] == ["patient-1", "patient-1"]
    assert AuditEntry.objects.filter(action="export", film_id=films[0].id).count() == 2


def test_only_own_films_are_in_the_training_table(
    reviewer: Client, client: Client, open_film: Film, say: Callable[..., Any], tmp_path: Path
) -> None:
    say(reviewer, open_film, seen_label="normal")
    assert reviewer.get("/reviews/training.zip")["Location"] == "/reviews/"
    assert "nothing to train from" in reviewer.get("/reviews/").content.decode()
    [row] = read_films(unpacked(client.get("/reviews/training.zip"), tmp_path) / "films.csv")
    assert row.label == "normal"


@pytest.mark.parametrize(
    ("said", "label", "t_score", "problem"),
    [
        ([("normal", None)], "normal", None, ""),
        ([("normal", None), ("osteopenia", None), ("osteopenia", None)], "osteopenia", None, ""),
        ([("normal", None), ("osteopenia", None)], "", None, "as many reviews say normal as osteopenia"),
        ([("normal", None), ("osteoporosis", -2.6), ("osteopenia", -2.0)], "osteopenia", -2.3, ""),
        ([("", None)], "", None, "no review says a label"),
        ([("healthy", -3.0), ("healthy", None)], "healthy", None, ""),
    ],
)
def test_several_reviews_make_one_label(
    said: list[tuple[str, float | None]], label: str, t_score: float | None, problem: str
) -> None:
    # A measurement counts, whatever is seen; a true label counts before what most people see.
    known = Review(label_said="normal", true_label="osteopenia")
    assert truth_of([known, Review(label_said="normal")]).label == "osteopenia"
    truth = truth_of([Review(label_said=name, dxa_t_score=score) for name, score in said])
    assert (truth.label, truth.t_score, truth.problem) == (label, pytest.approx(t_score), problem)


@pytest.mark.parametrize("name", ["export.csv", "coco.json", "training.zip"])
def test_refusals(client: Client, name: str) -> None:
    assert client.post(f"/reviews/{name}").status_code == 405
    assert Client().get(f"/reviews/{name}").status_code == 302
    assert client.get(f"/reviews/{name}").status_code in (200, 302)


def test_what_others_said_of_films_that_i_did_not_review_is_not_exported(
    reviewer: Client, stranger: Client, open_film: Film, say: Callable[..., Any],
    more_reviewers: Callable[[str], Client], draw_url: Callable[..., str], left_third: Mask,
) -> None:  # fmt: skip
    say(more_reviewers("mallory"), open_film, seen_label="normal", region=draw_url(left_third))
    for browser in (reviewer, stranger):
        assert table(browser.get("/reviews/export.csv")) == []
        assert json.loads(browser.get("/reviews/coco.json").content)["annotations"] == []


def test_films_that_share_a_patient_or_their_bytes_share_a_group() -> None:
    """1 and 3 share bytes; 3 and 4 a label, so 1, 3 and 4 are together; 2 and 5 are alone."""
    keys = [("a", "x"), ("b", "y"), ("c", "x"), ("c", "z"), ("d", "w")]
    assert joined(keys) == [1, 2, 1, 1, 3]
    assert joined([]) == []
    assert joined([("a", "x"), ("b", "y"), ("b", "x")]) == [1, 1, 1]


def test_the_same_film_of_two_patients_stays_on_one_side_of_every_split(
    client: Client, send: Callable[..., Any], say: Callable[..., Any], tmp_path: Path
) -> None:
    sent = [send(film_bytes(), age=age, label_text=age, if_known="separate") for age in ("44", "63")]
    for film in sent:
        say(client, Film.objects.get(pk=film.json()["id"]), seen_label="normal")
    for query in ("", "?group=label"):
        folder = unpacked(client.get(f"/reviews/training.zip{query}"), tmp_path / f"a{len(query)}")
        first, second = read_films(folder / "films.csv")
        assert (first.age, second.age, first.group, second.group) == (44, 63, "patient-1", "patient-1")
