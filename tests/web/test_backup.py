"""A backup that is made while the app is used, restored into an empty folder, is the same: rows, films and keys."""

import hashlib
import io
import os
import re
import stat
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from films import retention, storage
from films.models import Film, Reading
from project import database
from uploads import under_way
from web_films import film_bytes

pytestmark = pytest.mark.django_db(transaction=True)
MANAGE = Path(__file__).parents[2] / "web" / "manage.py"
KEYS = {"secret_key": b"s" * 40, "pseudonym_key": b"p" * 40}

Send = Callable[..., Any]


@pytest.fixture
def app(data_folder: Path, send: Send) -> Path:
    """The data of an app with two films and with keys."""
    for seed in range(2):
        assert send(film_bytes(seed), note=f"note {seed}").status_code == 201
    for name, key in KEYS.items():
        (data_folder / name).write_bytes(key)
    return data_folder


@pytest.fixture
def empty(tmp_path: Path) -> Any:
    """The environment of an app that has nothing: an empty folder, and of PostgreSQL an empty database."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("OSTEOLENS_")}
    environment |= {"OSTEOLENS_DATA": str(tmp_path / "empty"), "DJANGO_SETTINGS_MODULE": "project.settings"}
    if connection.vendor == "sqlite":
        environment.pop("DATABASE_URL", None)
        yield environment
        return
    name = f"restored_{uuid.uuid4().hex[:8]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield environment | {"DATABASE_URL": re.sub(r"/[^/]*$", f"/{name}", os.environ["DATABASE_URL"])}
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def restore(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """`manage.py restore`, as somebody runs it on another machine."""
    command = [sys.executable, MANAGE, "restore", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def rows_of(environment: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Every row of every table; of the tests' own database, or of the one that was restored."""
    database = connection.copy()
    if environment:
        name = environment["DATABASE_URL"].rpartition("/")[2] if "DATABASE_URL" in environment else ""
        database.settings_dict["NAME"] = name or Path(environment["OSTEOLENS_DATA"]) / "osteolens.sqlite3"
    rows = {}
    with closing(database), database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
            rows[table] = sorted(map(repr, cursor.fetchall()))
    return rows


def contents(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.rglob("*") if path.is_file() and path.parts[len(folder.parts)] in {"films", *KEYS}]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def test_rows_files_and_keys_are_the_same_in_an_empty_folder(
    app: Path, empty: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backup.tar"
    call_command("backup", str(file))
    assert capsys.readouterr().out.startswith(f"{file}: 2 films, ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows, before = rows_of(), contents(app)
    done = restore(empty, file)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"restored the backup of \d{4}-\d\d-\d\d \d\d:\d\d UTC \(OsteoLens \S+\): 2 films, 6 answers, 1 accounts\n",
        done.stdout,
    )
    target = Path(empty["OSTEOLENS_DATA"])
    assert contents(target) == before
    assert len(before) == 2 * (3 + 9) + 2  # film, picture and thumbnail, nine maps each; the keys
    assert rows_of(empty) == rows
    assert {stat.S_IMODE(path.stat().st_mode) for path in (target / "films").rglob("*") if path.is_file()} == {0o600}
    assert not (target / "restoring").exists()

    # What is there is replaced where that is wanted.
    changed = target / "films" / "00" / str(uuid.uuid4()) / storage.ORIGINAL
    changed.parent.mkdir(parents=True)
    changed.write_bytes(b"of a film that is not in the backup")
    assert restore(empty, file, "--force").returncode == 0
    assert contents(target) == before


def test_films_that_come_and_go_meanwhile_leave_no_half_of_themselves(
    app: Path, empty: dict[str, str], tmp_path: Path, send: Send, client: Client
) -> None:
    """Between the copy of the database and that of the files one film goes and one comes; others come all the time."""
    gone = Film.objects.earliest("uploaded_at")
    stop, sent = threading.Event(), []

    def upload() -> None:
        while not stop.is_set() and len(sent) < 40:
            film = SimpleUploadedFile("a.png", film_bytes(100 + len(sent)))
            sent.append(client.post("/upload", {"file": film}).status_code)
        connection.close()

    real = database.copy_to

    def copy_to(target: Path) -> None:
        real(target)
        retention.remove_films(None, [gone.pk])
        assert send(film_bytes(7)).status_code == 201

    uploading = threading.Thread(target=upload)
    file = tmp_path / "backup.tar"
    with patch.object(database, "copy_to", copy_to):
        uploading.start()
        try:
            call_command("backup", str(file))
        finally:
            stop.set()
            uploading.join()
    assert set(sent) == {201}
    done = restore(empty, file)
    assert done.returncode == 0, done.stderr
    assert re.search(r"while it was made, 1 films were deleted and [1-9]\d* came: neither are here", done.stdout)
    films = rows_of(empty)["xrays_film"]
    rows = {
        str(uuid.UUID(re.findall(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", row)[0])): row
        for row in films
    }
    assert str(gone.pk) not in rows
    folders = {path.name: path for path in (Path(empty["OSTEOLENS_DATA"]) / "films").glob("??/*")}
    assert folders.keys() == rows.keys()
    for name, folder in folders.items():
        assert hashlib.sha256((folder / storage.ORIGINAL).read_bytes()).hexdigest() in rows[name]


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive with its members changed; None leaves one out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for info in old:
            stream = old.extractfile(info)
            assert stream
            content = change(info.name, stream.read())
            if content is not None:
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    return target


def refusal(file: Path) -> str:
    """What `restore` says; nothing changes."""
    before = contents(Path(storage.films_folder().parent)), Film.objects.count(), Reading.objects.count()
    with pytest.raises(CommandError) as error:
        call_command("restore", str(file), "--force")
    assert before == (contents(Path(storage.films_folder().parent)), Film.objects.count(), Reading.objects.count())
    return str(error.value)


def test_what_is_damaged_newer_or_no_backup_changes_nothing(app: Path, tmp_path: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "under_way"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir()
    file, other = tmp_path / "backup.tar", tmp_path / "other.tar"
    call_command("backup", str(file))
    with pytest.raises(CommandError, match=r"backup\.tar is there already: name another file"):
        call_command("backup", str(file))
    with pytest.raises(CommandError, match="2 films and 1 accounts are here already: --force replaces them"):
        call_command("restore", str(file))

    def flip(name: str, content: bytes) -> bytes:
        return bytes([content[0] ^ 1, *content[1:]]) if name.endswith("original") else content

    assert "is damaged: 2 of 27 files differ, such as films/" in refusal(rewritten(file, other, flip))
    assert "is damaged: 1 of 27 files differ, such as keys/secret_key" in refusal(
        rewritten(file, other, lambda name, content: None if name == "keys/secret_key" else content)
    )
    assert "newer than" in refusal(
        rewritten(file, other, lambda _, content: content.replace(b'"xrays.0001_initial"', b'"xrays.9999_later"'))
    )
    vendor = {"sqlite": "postgresql", "postgresql": "sqlite"}[connection.vendor].encode()
    engine = f'"engine": "{connection.vendor}"'.encode()
    assert "set DATABASE_URL as it was" in refusal(
        rewritten(file, other, lambda _, content: content.replace(engine, b'"engine": "%s"' % vendor))
    )
    other.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "is no backup, or not a whole one" in refusal(other)
    other.write_bytes(b"nonsense")
    assert "is no backup, or not a whole one" in refusal(other)
    with tarfile.open(file) as old, tarfile.open(other, "w") as new:
        for info in old:
            new.addfile(info, old.extractfile(info))
        info.name = "../../etc/passwd"
        new.addfile(info, io.BytesIO(b"x" * info.size))
    assert "'../../etc/passwd' has no place in it" in refusal(other)
    with under_way.folder_in_use():
        assert "the app runs in this folder: stop it first" in refusal(file)
