"""Films of all kinds of sources as one table, and how it is cut."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import fsspec
import pyarrow as pa
import pytest

from osteolens.batch.answerers.ray import actor, films
from osteolens.batch.answerers.ray.engine import cut
from osteolens.batch.answerers.ray.films import film_of
from osteolens.batch.films import Problem
from osteolens.batch.work import Task
from osteolens.errors import BatchError


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def gathered(*names: str | Path) -> list[dict[str, object]]:
    sources = films.AnySources([str(name) for name in names], Path("out"))
    return films.gather(Task(film, {}) for film in sources).to_pylist()


def test_a_name_that_is_not_text_survives_the_table(tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/knie\xff\n .png")
    Path(odd).write_bytes(b"film")
    (row,) = gathered(tmp_path)
    assert film_of(row).path == odd


def test_what_is_not_there_is_a_film_with_its_problem(tmp_path):
    (tmp_path / "films.csv").write_text("file\nmissing.png\n")
    (row,) = gathered(tmp_path / "films.csv")
    assert film_of(row).problem == Problem("file_not_found", "there is no such file")


def test_addresses_are_folders_globs_and_files(memory):
    for name in ("/knees/a.png", "/knees/deep/b.png", "/knees/.hidden/c.png", "/knees/notes.txt"):
        memory.pipe(name, name.encode())
    of_folder = [film_of(row).path for row in gathered("memory://knees")]
    assert of_folder == ["memory:///knees/a.png", "memory:///knees/deep/b.png"]
    both = gathered("memory://knees/d*/*.png", "memory://knees/a.png")
    assert sorted(film_of(row).path for row in both) == of_folder
    content = actor.read(film_of(gathered("memory://knees/a.png")[0]))
    assert (content.data, content.film.size) == (b"/knees/a.png", 12)


def test_a_table_at_an_address_names_films_beside_it(memory):
    memory.pipe("/set/films.csv", b"file,age,ward\nsub/a.png,61,x\nmissing.png,,y\nmemory://other/b.png,,z\n")
    memory.pipe("/set/sub/a.png", b"a")
    memory.pipe("/other/b.png", b"bb")
    films = {film.file: film for film in map(film_of, gathered("memory://set/films.csv"))}
    assert films["sub/a.png"].facts == {"age": "61"}
    assert films["sub/a.png"].carried == {"ward": "x"}
    assert actor.read(films["sub/a.png"]).data == b"a"
    assert actor.read(films["memory://other/b.png"]).data == b"bb"
    assert actor.read(films["missing.png"]).film.problem == Problem("file_not_found", "there is no such file")


def test_a_changed_object_has_another_version(memory):
    memory.pipe("/knees/a.png", b"film")
    before = gathered("memory://knees")
    assert gathered("memory://knees") == before
    memory.pipe("/knees/a.png", b"FILM")
    assert gathered("memory://knees")[0]["mtime_ns"] != before[0]["mtime_ns"]


@pytest.mark.parametrize("name", ["memory://nothing/*.png", "memory://nothing", "unheard-of://knees"])
def test_an_address_without_films_is_refused(name):
    with pytest.raises(BatchError, match=r"for example s3://|as s3://"):
        gathered(name)


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as Arrow asks for."""

    objects: ClassVar[dict[str, bytes]] = {"/knees/set/a.png": b"film a", "/knees/set/deep/b.png": b"film b!"}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.rstrip("/") == "/knees":
            prefix = parse_qs(query).get("prefix", [""])[0]
            self.answer(200, self.listing(prefix, deep="delimiter" not in query), "application/xml")
        elif path in self.objects:
            self.answer(200, self.objects[path], "image/png")
        else:
            self.answer(404, b"", "application/xml")

    do_HEAD = do_GET  # noqa: N815

    def listing(self, prefix: str, *, deep: bool) -> bytes:
        entries = set()
        for path, content in self.objects.items():
            key = path.removeprefix("/knees/")
            rest = key.removeprefix(prefix)
            if key.startswith(prefix) and "/" in rest and not deep:
                entries.add(f"<CommonPrefixes><Prefix>{prefix}{rest.split('/')[0]}/</Prefix></CommonPrefixes>")
            elif key.startswith(prefix):
                entries.add(
                    f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><ETag>x</ETag>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                )
        return f"<ListBucketResult>{''.join(sorted(entries))}</ListBucketResult>".encode()

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_films_of_a_bucket_need_no_further_package(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        films = [film_of(row) for row in gathered("s3://knees/set")]
        assert [(film.path, film.size) for film in films] == [
            ("s3://knees/set/a.png", 6),
            ("s3://knees/set/deep/b.png", 7),
        ]
        assert [actor.read(film).data for film in films] == [b"film a", b"film b!"]
        server.shutdown()


def test_films_are_cut_into_batches_and_none_is_lost():
    table = pa.table({"number": list(range(520))})
    batches = list(cut(table, 200))
    assert [len(batch) for batch in batches] == [200, 200, 120]
    assert pa.concat_tables(batches).equals(table)
