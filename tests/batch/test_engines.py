"""One batch, whoever answers: the same folder, the same rules, the same statuses."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.ray import LABELS, MODEL, call, make_films

from osteolens import batch
from osteolens.card import load_card
from osteolens.errors import BatchError, ModelChanged, OtherBatch

from .fake_server import FakeServer
from .helpers import OUT, results

Run = Callable[..., batch.Summary]


def over_http(server: FakeServer) -> Run:
    def run(*inputs: str, **options: Any) -> batch.Summary:
        return batch.run(inputs or ["films"], OUT, server=server.url, progress="quiet", **options)

    return run


def on_ray(models: Path) -> Run:
    return lambda *inputs, **options: call(list(inputs or ["films"]), OUT, models, **options)


@pytest.fixture(params=["http", "ray"])
def run(request: pytest.FixtureRequest, server: FakeServer, models: Path, no_ray: None) -> Run:
    """A call on films/ with either engine; the server says that it has the model's card."""
    server.cards[MODEL] = load_card(models / "weights" / MODEL).sha256
    return over_http(server) if request.param == "http" else on_ray(models)


def test_the_folder_holds_the_same_files_and_columns(run: Run) -> None:
    make_films(Path("films"), 3)
    Path("films.csv").write_text("file,ward,label\nfilms/000.png,x,a\nfilms/001.png,y,b\nfilms/002.png,z,c\n")
    assert run("films.csv", overlays=True).status == 0
    assert {path.name for path in OUT.iterdir() if not path.name.startswith("progress.")} == {
        "results.parquet", "results.csv", "report.html", "run.json", "overlays"
    }  # fmt: skip
    rows = results(OUT)
    assert list(rows[0])[-6:] == [
        "models_agreeing",
        *(f"probability_{label}" for label in LABELS),
        "ward",
        "input_label",
    ]
    assert [(row["ward"], row["input_label"]) for row in rows] == [("x", "a"), ("y", "b"), ("z", "c")]
    assert all((OUT / row["overlay"]).read_bytes().startswith(b"\xff\xd8") for row in rows)
    assert [row["explanation"] for row in rows] == ["gradcam"] * 3
    assert (OUT / "report.html").read_text().count('src="data:image/jpeg;base64,') == 3
    with (OUT / "results.csv").open(newline="") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == [row["path"] for row in rows]
    account = json.loads((OUT / "run.json").read_text())
    assert account.keys() == {"started", "ended", "status", "totals", "models", "passed_over", "calls"}
    assert account["models"][MODEL]["card_sha256"] == rows[0]["card_sha256"]


def test_going_on_answers_what_is_new_or_changed_and_nothing_else(run: Run) -> None:
    films = make_films(Path("films"), 4)
    assert (run().answers, run().answers) == (4, 0)
    os.utime(films[0], ns=(1, 1))  # the same content
    films[1].write_bytes(films[2].read_bytes())
    os.utime(films[1], ns=(2, 2))
    make_films(Path("films"), 1, first=9)
    before = {row["path"]: row["answered_at"] for row in results(OUT)}
    run()
    after = {row["path"]: row["answered_at"] for row in results(OUT)}
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed == {"001.png", "009.png"}


def test_refused_films_rest_and_failed_ones_are_tried_again(run: Run) -> None:
    (good,) = make_films(Path("films"), 1)
    Path("films/bad.png").write_bytes(b"bad")
    Path("t.csv").write_text("file,age\nfilms/000.png,-4\nfilms/bad.png,\nfilms/gone.png,\n")
    summary = run("t.csv")
    assert (summary.status, summary.totals) == (3, batch.Totals(refused=2, failed=1))
    codes = {row["file"]: row["error_code"] for row in results(OUT)}
    assert codes == {
        "films/000.png": "invalid_option", "films/bad.png": "unsupported_type", "films/gone.png": "file_not_found"
    }  # fmt: skip
    Path("films/gone.png").write_bytes(good.read_bytes())
    assert run("t.csv").totals == batch.Totals(answered=1, refused=2)


def test_one_film_with_two_ages_needs_ids(run: Run) -> None:
    make_films(Path("films"), 1)
    Path("t.csv").write_text("file,age\nfilms/000.png,50\nfilms/000.png,63\n")
    with pytest.raises(BatchError, match=r"'films/000.png' is named twice.*column `id`"):
        run("t.csv")


def test_other_options_are_refused_with_both_named(run: Run) -> None:
    make_films(Path("films"), 1)
    run()
    with pytest.raises(OtherBatch, match=r"explain none; this call says explain gradcam"):
        run(explain="gradcam")


@pytest.mark.usefixtures("no_ray")
def test_a_folder_goes_on_with_the_other_engine_if_the_model_is_the_same(server: FakeServer, models: Path) -> None:
    make_films(Path("films"), 2)
    http, ray = over_http(server), on_ray(models)
    ray()
    make_films(Path("films"), 1, first=2)
    with pytest.raises(ModelChanged, match=r"--accept-new-model"):
        http()
    server.cards[MODEL] = load_card(models / "weights" / MODEL).sha256
    assert http().answers == 1
    assert [row["server"] for row in results(OUT)] == ["ray", "ray", server.url]
    assert ray().answers == 0


def make_earlier_folder(card: str) -> None:
    """What a batch on Ray of earlier versions left of films/000.png and films/001.png: no journal."""
    rows = results(OUT)
    names = json.dumps([["00", "00", True]] * len(rows))
    table = pa.Table.from_pylist(rows, parquet.read_schema(OUT / "results.parquet" / "part-000000.parquet"))
    for path in [*OUT.glob("progress.*"), *OUT.glob("results.parquet/*"), OUT / "report.html"]:
        path.unlink()
    table = table.replace_schema_metadata({b"osteolens": names})
    parquet.write_table(table, OUT / "results.parquet" / "part-000003.parquet")
    manifest = {
        "format": 1, "models": [MODEL], "explain": "none", "versions": {MODEL: ["1.0", card, "onnx-fp32"]},
        "carried": ["label"], "facts": True,
    }  # fmt: skip
    (OUT / "ray.json").write_text(json.dumps(manifest))


def test_a_folder_of_an_earlier_version_on_ray_goes_on_without_answering_again(run: Run, models: Path) -> None:
    make_films(Path("films"), 2)
    Path("t.csv").write_text("file,age,label\nfilms/000.png,63,a\nfilms/001.png,,b\n")
    run("t.csv")
    before = results(OUT)
    make_earlier_folder(load_card(models / "weights" / MODEL).sha256)
    with pytest.raises(OtherBatch, match="explain"):
        run("t.csv", explain="gradcam")
    summary = run("t.csv")
    assert (summary.answers, summary.totals.answered) == (0, 2)
    assert results(OUT) == before
    assert not (OUT / "ray.json").exists()
    assert (OUT / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("ray.json", b"\xff{", "--fresh"),
        ("ray.json", b"[]", "--fresh"),
        ("results.parquet/part-000003.parquet", b"PAR1 torn", "delete"),
    ],
)
def test_a_damaged_file_of_an_earlier_version_names_the_way_out(
    run: Run, models: Path, name: str, content: bytes, remedy: str
) -> None:
    make_films(Path("films"), 1)
    run()
    make_earlier_folder(load_card(models / "weights" / MODEL).sha256)
    (OUT / name).write_bytes(content)
    with pytest.raises(BatchError, match=f"{Path(name).name} is damaged.*{remedy}"):
        run()
    if remedy == "delete":
        (OUT / name).unlink()
    assert run(fresh=remedy == "--fresh").totals.answered == 1
