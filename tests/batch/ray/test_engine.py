"""A batch from inputs to results, with actors in this process in Ray's place."""

import csv
import json
import os
import shutil
import zipfile
from pathlib import Path

import onnx
import pytest
from pyarrow import parquet
from support.ray import LABELS, MODEL, call, check_answers, make_films, results

from osteolens.batch.answerers.ray import actor, engine
from osteolens.batch.outputs import tables
from osteolens.batch.rows import AGREEMENT, COLUMNS
from osteolens.batch.storage import lock
from osteolens.card import Card, file_sha256, load_card
from osteolens.errors import BatchError, CardError, FolderInUse, ModelChanged, OtherBatch, ServerError

pytestmark = pytest.mark.usefixtures("no_ray")


def new_version(models: Path, place: Path) -> Card:
    """The same model under another version, and so another card."""
    shutil.copytree(models, place)
    folder, graph = place / "weights" / MODEL, place / "build" / MODEL / "model.onnx"
    card = load_card(folder).model_copy(update={"version": "9.9"})
    card.save(folder)
    exported = onnx.load(graph)
    facts = {fact.key: fact.value for fact in exported.metadata_props} | {"card_sha256": card.sha256}
    onnx.helper.set_model_props(exported, facts)
    onnx.save(exported, graph)
    return card


@pytest.fixture
def read_files(monkeypatch) -> list[str]:
    """The files that are read, in order."""
    names: list[str] = []
    read = actor.read

    def noted(film):
        names.append(Path(film.path).name)
        return read(film)

    monkeypatch.setattr(actor, "read", noted)
    return names


def test_every_film_has_the_readers_own_answer_in_the_columns_of_a_batch_over_http(tmp_path, models):
    films = make_films(tmp_path / "films", 5)
    summary = call([tmp_path / "films"], tmp_path / "out", models)
    assert (summary.status, summary.totals.answered, summary.answers) == (0, 5, 5)
    rows = results(tmp_path / "out")
    check_answers(rows, films, models)
    names = [column.name for column in (*COLUMNS, AGREEMENT)] + [f"probability_{label}" for label in LABELS]
    assert list(rows[0]) == names
    assert [(row["models_agreeing"], row["attempts"]) for row in rows] == [(1, 1)] * 5
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        sheet = list(csv.DictReader(stream))
    assert [(row["path"], row["label"]) for row in sheet] == [(row["path"], row["label"]) for row in rows]
    account = json.loads((tmp_path / "out" / "run.json").read_text())
    assert account["totals"] == {"answered": 5, "refused": 0, "failed": 0, "pending": 0}
    assert account["models"][MODEL]["card_sha256"] == load_card(models / "weights" / MODEL).sha256


def test_films_that_cannot_be_answered_have_their_error_and_are_status_3(tmp_path, models, read_files):
    (good,) = make_films(tmp_path / "films", 1)
    (tmp_path / "films" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "films.csv").write_text("file,age,ward\nfilms/000.png,-4,x\nfilms/bad.png,,y\nfilms/gone.png,,z\n")
    summary = call([tmp_path / "films.csv"], tmp_path / "out", models)
    assert (summary.status, summary.totals.refused, summary.totals.failed) == (3, 2, 1)
    outcomes = {row["file"]: (row["status"], row["error_code"], row["ward"]) for row in results(tmp_path / "out")}
    assert outcomes == {
        "films/000.png": ("refused", "invalid_option", "x"),
        "films/bad.png": ("refused", "unsupported_type", "y"),
        "films/gone.png": ("failed", "file_not_found", "z"),
    }
    # What failed is tried again, what was refused is not.
    read_files.clear()
    (tmp_path / "films" / "gone.png").write_bytes(good.read_bytes())
    summary = call([tmp_path / "films.csv"], tmp_path / "out", models)
    assert read_files == ["gone.png"]
    assert (summary.totals.answered, summary.totals.refused, summary.totals.failed, summary.answers) == (1, 2, 0, 1)


def test_a_fault_in_the_model_stays_with_its_film(tmp_path, models, monkeypatch):
    films = make_films(tmp_path / "films", 3)
    answer = actor.Reader.answer

    def faulty(self, request):
        if request.data == films[1].read_bytes():
            raise MemoryError("out of luck")
        return answer(self, request)

    with monkeypatch.context() as patch:
        patch.setattr(actor.Reader, "answer", faulty)
        assert call([tmp_path / "films"], tmp_path / "out", models).totals.failed == 1
    row = results(tmp_path / "out")[1]
    assert (row["error_code"], row["error_message"]) == ("internal_error", "MemoryError: out of luck")
    assert call([tmp_path / "films"], tmp_path / "out", models).totals.answered == 3


def test_the_same_call_again_does_only_what_is_new_or_changed(tmp_path, models, read_files):
    films, out = make_films(tmp_path / "films", 5), tmp_path / "out"
    call([tmp_path / "films"], out, models)
    read_files.clear()
    assert call([tmp_path / "films"], out, models).answers == 0
    films[3].write_bytes(films[0].read_bytes())
    films += make_films(tmp_path / "films", 1, first=9)
    assert call([tmp_path / "films"], out, models).totals.answered == 6
    assert sorted(read_files) == ["003.png", "009.png"]
    check_answers(results(out), films, models)


def test_a_stopped_batch_keeps_what_was_answered_and_goes_on(tmp_path, models, read_files, monkeypatch):
    films, out = make_films(tmp_path / "films", 6), tmp_path / "out"
    answered = engine.answered

    def stopping(todo, job):
        for number, rows in enumerate(answered(todo, job)):
            if number == 1:
                raise KeyboardInterrupt
            yield rows

    with monkeypatch.context() as patch:
        patch.setattr(engine, "answered", stopping)
        with pytest.raises(KeyboardInterrupt):
            call([tmp_path / "films"], out, models)
    before = {Path(row["path"]).name for row in results(out)}
    assert len(before) == 4
    read_files.clear()
    call([tmp_path / "films"], out, models)
    assert sorted(read_files) == sorted({film.name for film in films} - before)
    check_answers(results(out), films, models)
    stops = [entry["stopped"] for entry in json.loads((out / "run.json").read_text())["calls"]]
    assert stops == ["KeyboardInterrupt", None]


def test_columns_that_come_later_are_in_every_partition(tmp_path, models, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_AT_A_TIME", 1)
    make_films(tmp_path / "films", 2)
    call([tmp_path / "films" / "000.png"], tmp_path / "out", models)
    (tmp_path / "films.csv").write_text("file,label\nfilms/001.png,mine\n")
    call([tmp_path / "films.csv"], tmp_path / "out", models)
    schemas = {tuple(parquet.read_schema(path).names) for path in (tmp_path / "out" / "results.parquet").iterdir()}
    assert len(schemas) == 1
    assert [row["input_label"] for row in results(tmp_path / "out")] == [None, "mine"]


def test_answers_of_two_versions_of_a_model_are_never_mixed(tmp_path, models):
    make_films(tmp_path / "films", 2)
    out = tmp_path / "out"
    call([tmp_path / "films"], out, models)
    before = {row["card_sha256"] for row in results(out)}
    newer, card = tmp_path / "newer", new_version(models, tmp_path / "newer")
    with pytest.raises(ModelChanged, match=r"is now version 9\.9 .*--accept-new-model"):
        call([tmp_path / "films"], out, newer)
    assert {row["card_sha256"] for row in results(out)} == before
    call([tmp_path / "films" / "000.png"], out, newer, accept_new_model=True)
    # The film that this call did not name is answered again, too.
    assert [row["card_sha256"] for row in results(out)] == [card.sha256] * 2


def test_a_folder_is_kept_from_other_batches(tmp_path, models):
    make_films(tmp_path / "films", 1)
    out = tmp_path / "out"
    call([tmp_path / "films"], out, models)
    with pytest.raises(OtherBatch, match=r"explain none; this call says explain gradcam"):
        call([tmp_path / "films"], out, models, explain="gradcam")
    with lock(out), pytest.raises(FolderInUse):
        call([tmp_path / "films"], out, models)
    call([tmp_path / "films"], out, models, explain="gradcam", fresh=True)
    assert results(out)[0]["explanation"] == "gradcam"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explain": "gradcam++"}, "none or gradcam"),
        ({"models": ["efficientnet", "efficientnet"]}, "each model once"),
        ({"models": []}, "each model once"),
        ({"models": ["kneee"]}, r"there is no model kneee: neither .*kneee\.mar"),
    ],
)
def test_a_call_that_makes_no_sense_leaves_no_folder(tmp_path, models, options, message):
    make_films(tmp_path / "films", 1)
    with pytest.raises(BatchError, match=message):
        call([tmp_path / "films"], tmp_path / "out", models, **options)
    assert not (tmp_path / "out").exists()


def test_an_unreadable_file_takes_no_answer_back(tmp_path, models):
    films, out = make_films(tmp_path / "films", 2), tmp_path / "out"
    (tmp_path / "films.csv").write_text("file\nfilms/000.png\nfilms/001.png\n")
    call([tmp_path / "films.csv"], out, models)
    films[1].rename(tmp_path / "away.png")
    assert call([tmp_path / "films.csv"], out, models).status == 0
    assert [row["status"] for row in results(out)] == ["answered", "answered"]


def test_an_archive_goes_before_the_folders_and_must_be_what_was_built(tmp_path, models):
    make_films(tmp_path / "films", 1)
    store, weights, build = tmp_path / "store", models / "weights" / MODEL, models / "build" / MODEL
    store.mkdir()
    archive = store / f"{MODEL}.mar"
    with zipfile.ZipFile(archive, "w") as stored:
        for path in (weights / "card.json", weights / "weights.safetensors", build / "model.onnx"):
            stored.write(path, path.name)
        stored.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"modelName": MODEL}}))
    with pytest.raises(ServerError, match=r"has no efficientnet\.mar\.sha256"):
        call([tmp_path / "films"], tmp_path / "out", tmp_path / "nowhere", store=store)
    (store / f"{MODEL}.mar.sha256").write_text(f"{file_sha256(archive)}  {archive.name}\n")
    assert call([tmp_path / "films"], tmp_path / "out", tmp_path / "nowhere", store=store).totals.answered == 1


def test_a_graph_of_another_card_is_told_before_there_is_a_folder(tmp_path, models):
    make_films(tmp_path / "films", 1)
    other = tmp_path / "other"
    new_version(models, other)
    (other / "build" / MODEL / "model.onnx").write_bytes((models / "build" / MODEL / "model.onnx").read_bytes())
    with pytest.raises(CardError, match="does not belong to its card"):
        call([tmp_path / "films"], tmp_path / "out", other)
    assert not (tmp_path / "out").exists()


def test_a_spreadsheet_runs_nothing(tmp_path, models):
    make_films(tmp_path, 1)
    (tmp_path / "t.csv").write_text("file,note,t\n000.png,=1+1,-1.5\n")
    call([tmp_path / "t.csv"], tmp_path / "out", models)
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        [row] = csv.DictReader(stream)
    assert (row["note"], row["t"]) == ("'=1+1", "-1.5")


def test_a_name_that_is_not_text_ends_nothing(tmp_path, models):
    folder = tmp_path / os.fsdecode(b"films\xff")
    make_films(folder, 1)
    (folder / "t.csv").write_text("file,age,id\n,63,\n000.png,63,x\n")
    call([folder / "t.csv"], tmp_path / "out", models)
    problem, answered = sorted(results(tmp_path / "out"), key=lambda row: row["status"], reverse=True)
    assert answered["status"] == "answered"
    assert "t.csv names no file" in problem["error_message"]
