"""Whole batches against a small server: what comes out, and going on where a batch stopped."""

import csv
import json
import os
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from osteolens import batch
from osteolens.batch.journal import Journal
from osteolens.batch.outputs import tables
from osteolens.errors import BatchError, FolderInUse, ModelChanged, OtherBatch

from .fake_server import FakeServer, Response
from .helpers import check_rows, make_films, results, right_label

OUT = Path("out")


def run(server: FakeServer, *inputs: str, out: Path = OUT, **options: object) -> batch.Summary:
    return batch.run(inputs or ["films"], out, server=server.url, progress="quiet", **options)  # type: ignore[arg-type]


def test_two_models_answer_every_film_and_say_how_far_they_agree(server: FakeServer) -> None:
    films = make_films(Path("films"))
    summary = run(server, models=["knee", "efficientnet"])
    assert (summary.status, summary.totals.answered, summary.answers) == (0, 40, 40)
    check_rows(OUT, films, ("efficientnet", "knee"))
    rows = results(OUT)
    by_film = {path: [row for row in rows if row["path"] == path] for path in films}
    for pair in by_film.values():
        same = pair[0]["label"] == pair[1]["label"]
        assert [row["models_agreeing"] for row in pair] == ([2, 2] if same else [1, 1])
    assert len({row["models_agreeing"] for row in rows}) == 2


def test_both_tables_say_the_same(server: FakeServer) -> None:
    make_films(Path("films"), 5)
    Path("films/bad.png").write_bytes(b"bad")
    assert run(server).status == 3
    with (OUT / "results.csv").open(newline="") as stream:
        sheet = list(csv.DictReader(stream))
    for row, cells in zip(results(OUT), sheet, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == cells


def test_the_table_is_a_folder_of_partitions_in_the_rows_order(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_AT_A_TIME", 2)
    films = make_films(Path("films"), 5)
    run(server)
    parts = sorted(path.name for path in (OUT / "results.parquet").iterdir())
    assert parts == [f"part-00000{number}.parquet" for number in range(3)]
    assert [row["path"] for row in results(OUT)] == sorted(films)
    monkeypatch.setattr(tables, "ROWS_AT_A_TIME", 5)
    run(server)
    assert [path.name for path in (OUT / "results.parquet").iterdir()] == parts[:1]


def test_a_single_file_of_an_earlier_version_becomes_a_folder(server: FakeServer) -> None:
    films = make_films(Path("films"), 3)
    run(server)
    whole = parquet.read_table(OUT / "results.parquet")
    shutil.rmtree(OUT / "results.parquet")
    parquet.write_table(whole, OUT / "results.parquet")
    assert run(server).answers == 0
    assert (OUT / "results.parquet").is_dir()
    check_rows(OUT, films)
    assert not list(OUT.glob(".*"))


def test_run_json_tells_the_call_the_versions_and_the_totals(server: FakeServer) -> None:
    make_films(Path("films"), 3)
    Path("films/notes.txt").write_text("none")
    run(server)
    run(server)
    account = json.loads((OUT / "run.json").read_text())
    assert account["totals"] == {"answered": 3, "refused": 0, "failed": 0, "pending": 0}
    assert account["passed_over"] == {".txt": 1}
    assert account["models"] == {"efficientnet": {"version": "1.0", "card_sha256": "a" * 64}}
    assert [call["status"] for call in account["calls"]] == [0, 0]
    assert account["calls"][0]["call"]["inputs"] == ["films"]
    assert account["started"] < account["calls"][0]["ended"] < account["ended"]


def test_nothing_is_asked_twice_but_what_changed(server: FakeServer) -> None:
    films = make_films(Path("films"))
    run(server)
    assert run(server).answers == 0
    touched, changed, *_ = films
    os.utime(touched, ns=(1, 1))
    films[changed] = b"FILM 1"  # as long as before
    Path(changed).write_bytes(films[changed])
    os.utime(changed, ns=(2, 2))
    assert run(server).answers == 1
    assert server.requests == 21
    check_rows(OUT, films)
    assert run(server).answers == 0


def test_refused_films_rest_and_failed_ones_are_tried_again(server: FakeServer) -> None:
    Path("paths.csv").write_text("file\nlate.png\nbad.png\n")
    Path("bad.png").write_bytes(b"bad")
    assert run(server, "paths.csv").totals == batch.Totals(refused=1, failed=1)
    Path("late.png").write_bytes(b"here now")
    assert run(server, "paths.csv").totals == batch.Totals(answered=1, refused=1)
    assert server.requests == 2


def test_films_that_the_gate_refuses_rest_with_its_code_and_sentence(server: FakeServer) -> None:
    chest, _ = make_films(Path("films"), 2).values()
    reason = {"code": "not_a_knee", "message": "no knee, expected one"}

    def refuse_the_chest(number: int, film: bytes, response: Response) -> Response | None:
        row = json.loads(response.body)
        row |= {"label": None, "probabilities": {}, "t_score": None, "triage": None, "explanations": []}
        row["quality"] = {"accepted": False, "reasons": [reason]}
        return replace(response, body=json.dumps(row).encode(), headers={}) if film == chest else None

    server.fault = refuse_the_chest
    assert run(server).totals == batch.Totals(answered=1, refused=1)
    (row,) = (row for row in results(OUT) if row["status"] == "refused")
    assert (row["error_code"], row["label"], row["attempts"]) == ("not_a_knee", None, 1)
    assert row["error_message"] == "no knee, expected one (force=true has it answered all the same)"
    assert run(server).answers == 0
    with pytest.raises(OtherBatch, match="force"):
        run(server, force=True)


def test_a_film_that_is_gone_takes_no_answer_back(server: FakeServer) -> None:
    films = make_films(Path("films"), 3)
    listed = "\n".join(["file", *films])
    Path("paths.csv").write_text(listed)
    run(server, "paths.csv")
    Path(next(iter(films))).unlink()
    assert run(server, "paths.csv").status == 0
    check_rows(OUT, films)


def test_the_same_film_under_many_names_is_asked_once_and_has_as_many_rows(server: FakeServer) -> None:
    films = make_films(Path("films"), 4)
    for number in range(12):
        name = f"{Path('films').absolute()}/copy {number}.png"
        films[name] = b"film 0"
        Path(name).write_bytes(films[name])
    server.delay = 0.02
    run(server)
    check_rows(OUT, films)
    assert server.requests == 4
    assert sorted(row["attempts"] for row in results(OUT)) == [0] * 12 + [1] * 4


def test_a_file_that_is_named_in_two_ways_is_one_input(server: FakeServer) -> None:
    films = make_films(Path("films"), 4)
    run(server, "films", "films/*.png", "films/../films/001.png", "./films")
    check_rows(OUT, films)
    assert server.requests == 4


def test_a_folder_of_an_earlier_version_goes_on_without_its_findings(server: FakeServer) -> None:
    films = make_films(Path("films"), 3)
    run(server, "films")
    database = sqlite3.connect(OUT / "progress.sqlite")
    database.execute("DROP VIEW answers")
    for name in ("finding", "finding_from", "finding_probability", "finding_triage", "evidence"):
        database.execute(f"ALTER TABLE rows DROP COLUMN {name}")
    database.execute("CREATE VIEW answers AS SELECT *, triage AS zone FROM rows WHERE status = 'answered'")
    database.commit()
    database.close()
    extra = b"film of its own"
    Path("films/new.png").write_bytes(extra)
    run(server, "films")
    rows = {Path(row["path"]).name: row["finding"] for row in results(OUT)}
    assert rows == {f"00{number}.png": "no finding" for number in range(3)} | {"new.png": right_label(extra)}
    check_rows(OUT, films | {str(Path("films/new.png").absolute()): extra})
    assert server.requests == 4


def test_facts_go_along_and_columns_are_carried(server: FakeServer) -> None:
    make_films(Path("films"), 2)
    Path("t.csv").write_text(
        "file,id,age,sex,label,site\nfilms/000.png,a,63,female,normal,Oslo\nfilms/000.png,b,50,female,normal,Graz\n"
        "films/001.png,c,,,osteopenia,\nfilms/001.png,d,old,,osteopenia,\n"
    )
    run(server, "t.csv")
    rows = {row["id"]: row for row in results(OUT)}
    assert [rows[name]["fused_triage"] for name in "abcd"] == ["refer", "uncertain", None, None]
    assert [rows[name]["input_label"] for name in "abcd"] == ["normal", "normal", "osteopenia", "osteopenia"]
    assert [rows[name]["site"] for name in "abcd"] == ["Oslo", "Graz", "", ""]
    assert (rows["a"]["file"], rows["a"]["age"], rows["a"]["fused_inputs"]) == ("films/000.png", "63", "age")
    assert rows["a"]["fused_probability_normal"] == rows["a"]["probability_normal"]
    assert (rows["d"]["status"], rows["d"]["error_code"]) == ("refused", "invalid_option")
    assert "for example age=63" in rows["d"]["error_message"]


def test_another_fact_is_another_question_and_another_column_is_none(server: FakeServer) -> None:
    make_films(Path("films"), 1)
    for age, site, requests in ((50, "Oslo", 1), (50, "Graz", 1), (63, "Graz", 2)):
        Path("t.csv").write_text(f"file,age,site\nfilms/000.png,{age},{site}\n")
        run(server, "t.csv")
        (row,) = results(OUT)
        assert (row["age"], row["site"]) == (str(age), site)
        assert server.requests == requests


def test_one_film_with_two_ages_needs_ids(server: FakeServer) -> None:
    make_films(Path("films"), 1)
    Path("t.csv").write_text("file,age\nfilms/000.png,50\nfilms/000.png,63\n")
    for _ in range(2):
        with pytest.raises(BatchError, match=r"'films/000.png' is named twice.*column `id`"):
            run(server, "t.csv")


def test_names_of_all_kinds_come_back_as_they_were(server: FakeServer) -> None:
    names = ["with space.png", "line\nbreak.png", "膝蓋.png", "колено.png", '"q",;.png', "'=1+1.png"]
    films = {}
    for name in names:
        path = Path("films", name).absolute()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
        films[str(path)] = name.encode()
    Path(os.fsdecode(b"films/\xff.png")).write_bytes(b"not text")
    run(server)
    rows = results(OUT)
    assert {row["file"] for row in rows} == {f"films/{name}" for name in names} | {r"films/\xff.png"}
    check_rows(OUT, films | {str(Path("films").absolute()) + r"/\xff.png": b"not text"})


def test_other_options_in_the_same_folder_are_refused_with_both_named(server: FakeServer) -> None:
    make_films(Path("films"), 2)
    run(server)
    with pytest.raises(OtherBatch, match=r"out holds a batch with models efficientnet; this call says models knee"):
        run(server, models=["knee"])
    assert run(server, models=["knee"], fresh=True).answers == 2
    assert {row["model"] for row in results(OUT)} == {"knee"}


def test_a_second_batch_on_the_same_folder_is_refused(server: FakeServer) -> None:
    films = make_films(Path("films"))
    server.delay = 0.2
    first = threading.Thread(target=run, args=(server,))
    first.start()
    while not server.requests:
        time.sleep(0.01)
    with pytest.raises(FolderInUse, match=r"another batch writes to out"):
        run(server)
    with pytest.raises(FolderInUse):
        run(server, fresh=True)
    first.join()
    check_rows(OUT, films)
    assert server.requests == 20


def test_two_versions_of_a_model_are_never_mixed(server: FakeServer) -> None:
    films = make_films(Path("films"), 30)

    def change(number: int, film: bytes, response: Response) -> None:
        if number == 15:
            server.cards["efficientnet"] = "b" * 64

    server.fault = change
    with pytest.raises(ModelChanged, match=r"version 1.0 \(card bbbbbbbbbbbb\).*1.0 \(card aaaaaaaaaaaa\)") as caught:
        run(server)
    assert "--accept-new-model" in str(caught.value)
    before = results(OUT)
    assert {row["card_sha256"] for row in before} == {"a" * 64}
    with pytest.raises(ModelChanged):
        run(server)
    assert results(OUT) == before
    assert run(server, accept_new_model=True).totals == batch.Totals(answered=30)
    check_rows(OUT, films)
    assert {row["card_sha256"] for row in results(OUT)} == {"b" * 64}
    assert run(server).answers == 0


def test_a_change_on_the_way_reaches_films_that_were_passed_by(server: FakeServer) -> None:
    films = make_films(Path("films"), 10)
    run(server)
    server.cards["efficientnet"] = "b" * 64
    films |= make_films(Path("more"), 11)
    films |= {path: content for path, content in films.items() if "more" in path}
    Path("more/010.png").write_bytes(b"new")
    films[str(Path("more/010.png").absolute())] = b"new"
    assert run(server, "films", "more", accept_new_model=True).totals == batch.Totals(answered=21)
    check_rows(OUT, films)
    assert {row["card_sha256"] for row in results(OUT)} == {"b" * 64}


def test_two_servers_behind_one_address_are_not_mixed(server: FakeServer) -> None:
    make_films(Path("films"), 30)

    def another_once(number: int, film: bytes, response: Response) -> None:
        server.cards["efficientnet"] = ("b" if number == 15 else "a") * 64

    server.fault = another_once
    with pytest.raises(ModelChanged, match=r"with two versions in turn"):
        run(server, accept_new_model=True)
    assert {row["card_sha256"] for row in results(OUT)} == {"b" * 64}


def test_what_was_kept_pending_by_a_kill_is_no_result(server: FakeServer) -> None:
    films = make_films(Path("films"), 4)
    run(server)
    identity = {"models": ["efficientnet"], "explain": "none", "overlays": "none"}
    with Journal(OUT, identity) as journal:
        assert journal.set_card("efficientnet", "2.0", "b" * 64) == 4
    server.cards["efficientnet"] = "b" * 64
    Path("films/000.png").unlink()
    assert run(server).totals == batch.Totals(answered=3, failed=1)  # the first film's old answer does not count
    assert [row["error_code"] for row in results(OUT)] == ["file_not_found", None, None, None]
    assert len(films) == 4


def test_a_proxy_of_the_environment_is_used(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    films = make_films(Path("films"), 3)
    monkeypatch.setenv("http_proxy", server.url)
    assert batch.run(["films"], OUT, server="http://films.invalid", progress="quiet").status == 0
    check_rows(OUT, films)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": []}, "models are"),
        ({"models": ["a", "a"]}, "models are"),
        ({"models": ["../a"]}, "models are"),
        ({"opacity": 2.0}, "opacity is 2"),
        ({"max_in_flight": 0}, "at most 0 requests"),
    ],
)
def test_calls_that_make_no_sense(server: FakeServer, options: dict[str, object], message: str) -> None:
    make_films(Path("films"), 1)
    with pytest.raises(BatchError, match=message):
        run(server, **options)
    assert not OUT.exists()
