"""All that the app keeps in one file, and the way back: database, films and keys.

A tar, not compressed, as films are:

    database                         SQLite's file by its backup API, or PostgreSQL's by pg_dump
    keys/secret_key, pseudonym_key   what signs cookies, and makes pseudonyms of patients
    films/<2 hex>/<uuid>/...         as `films.storage` has them
    manifest.json                    who made it, and the SHA-256 of each file

The database is copied first, as it is at one moment. A film's files are there before its row and stay until the row is
gone, so what is copied afterwards holds the files of every row, but for films that were deleted in between.
"""

import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

from accounts.models import User
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from films import retention, storage
from films.models import Film, Reading
from pydantic import BaseModel, ValidationError
from uploads import under_way

from osteolens import __version__, files
from project import database, erasing
from project.database import BackupError

MANIFEST, DATABASE, KEYS = "manifest.json", "database", ("secret_key", "pseudonym_key")
_NAME = re.compile(
    r"database|keys/(secret|pseudonym)_key|films/[0-9a-f]{2}/[0-9a-f-]{36}(/[0-9a-z][\w.-]*){1,3}", re.ASCII
)
_CHUNK = 1024**2


class Manifest(BaseModel):
    """What a backup holds.

    Attributes:
        format: Version of this layout.
        made_at: When the database was copied.
        version: Of OsteoLens.
        engine: Kind of the database, `sqlite` or `postgresql`.
        migrations: Those that the database had, as `app.name`.
        files: SHA-256 of each file by name.
    """

    format: Literal[1] = 1
    made_at: datetime
    version: str = __version__
    engine: str
    migrations: list[str]
    files: dict[str, str]


class Restored(NamedTuple):
    """What is there after `restore`.

    Attributes:
        manifest: That of the backup.
        films, answers, accounts: Rows.
        deleted: Films that were deleted while the backup was made.
        unknown: Folders of films that came while it was made.
    """

    manifest: Manifest
    films: int
    answers: int
    accounts: int
    deleted: int
    unknown: int


def backup(target: Path) -> Manifest:
    """Write a backup, readable by this user alone, whole or not at all; the app may run meanwhile.

    Raises:
        BackupError: The file is there already, or the database cannot be copied.
    """
    if target.exists():
        raise BackupError(
            f"{target} is there already: name another file, such as osteolens-{timezone.now():%Y-%m-%d}.tar"
        )
    if not target.absolute().parent.is_dir():
        raise BackupError(f"{target} is in a folder that does not exist")
    with files.whole(target) as draft, tempfile.TemporaryDirectory(dir=target.absolute().parent) as folder:
        draft.touch(0o600)
        manifest = Manifest(made_at=timezone.now(), engine=connection.vendor, migrations=_applied(), files={})
        copy = Path(folder) / DATABASE
        database.copy_to(copy)
        with tarfile.open(draft, "w") as tar:
            for path, name in [(copy, DATABASE), *((settings.DATA_FOLDER / key, f"keys/{key}") for key in KEYS)]:
                _add(tar, path, name, manifest)
            for path in _film_files():
                _add(tar, path, path.relative_to(settings.DATA_FOLDER).as_posix(), manifest)
            text = Path(folder) / MANIFEST
            text.write_text(manifest.model_dump_json(indent=1))
            tar.add(text, MANIFEST, filter=_anonymous)
    return manifest


def restore(source: Path, *, force: bool = False) -> Restored:
    """Put a backup in the place of this app's data; nothing changes before all of it was read and compared.

    Args:
        source: A file of `backup`.
        force: Replace what is here.

    Raises:
        BackupError: It is no backup, is damaged or of a newer version, the app runs, or there is data here already.
    """
    with _alone(), _staging() as staged:
        manifest = _unpack(source, staged)
        if not force and (here := _here()):
            raise BackupError(f"{here} are here already: --force replaces them by the backup of {_day(manifest)}")
        database.replace_by(staged / DATABASE)
        for key in KEYS:
            if (staged / "keys" / key).exists():
                (staged / "keys" / key).replace(settings.DATA_FOLDER / key)
        if storage.films_folder().exists():
            storage.films_folder().rename(staged / "before")
        (staged / "films").mkdir(mode=0o700, exist_ok=True)
        (staged / "films").rename(storage.films_folder())
        call_command("migrate", verbosity=0, interactive=False)
        deleted = [
            film_id for film_id in Film.objects.values_list("pk", flat=True) if not storage.original(film_id).exists()
        ]
        retention.remove_films(None, deleted)
        unknown = retention.sweep(older_than_seconds=0.0)
        erasing.empty_log()
    answers = Reading.objects.filter(state=Reading.State.ANSWERED).count()
    return Restored(manifest, Film.objects.count(), answers, User.objects.count(), len(deleted), unknown)


@contextmanager
def _staging() -> Iterator[Path]:
    """A folder on the disk of the films, empty at first and gone afterwards, and what a killed process left in it."""
    folder = settings.DATA_FOLDER / "restoring"
    files.delete(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        files.delete(folder)


def _film_files() -> Iterator[Path]:
    """The files of all films, as they are on the disk now."""
    for folder, names, found in os.walk(storage.films_folder()):
        names.sort()
        yield from (Path(folder) / name for name in sorted(found))


def _add(tar: tarfile.TarFile, path: Path, name: str, manifest: Manifest) -> None:
    """Add a file that is still there, and note its hash."""
    if not _NAME.fullmatch(name):
        return
    try:
        stream = path.open("rb")
    except FileNotFoundError:  # a film that was deleted at this moment; a key that comes from the environment
        return
    with stream:
        info = _anonymous(tar.gettarinfo(arcname=name, fileobj=stream))
        manifest.files[name] = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        tar.addfile(info, stream)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _unpack(source: Path, folder: Path) -> Manifest:
    """Write a backup's files into a folder, compared with their hashes.

    Raises:
        BackupError: It is no backup, damaged, or this version cannot use it.
    """
    try:
        with tarfile.open(source) as tar:
            manifest = Manifest.model_validate_json(_member(tar, MANIFEST).read())
            _check_usable(manifest)
            hashes = {info.name: _extract(tar, info, folder) for info in tar if info.name != MANIFEST}
    except (OSError, EOFError, tarfile.TarError, KeyError, ValidationError) as error:
        raise BackupError(f"{source} is no backup, or not a whole one: {error}") from error
    wrong = sorted(
        name for name in hashes.keys() | manifest.files.keys() if hashes.get(name) != manifest.files.get(name)
    )
    if wrong:
        raise BackupError(
            f"{source} is damaged: {len(wrong)} of {len(manifest.files)} files differ, such as {wrong[0]}"
        )
    return manifest


def _member(tar: tarfile.TarFile, info: str | tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    if stream is None:
        raise KeyError(f"{info} is no file")
    return stream


def _extract(tar: tarfile.TarFile, info: tarfile.TarInfo, folder: Path) -> str:
    """Write one file; its hash."""
    if not _NAME.fullmatch(info.name) or not info.isreg():
        raise KeyError(f"{info.name!r} has no place in it")
    path, digest = folder / info.name, hashlib.sha256()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        _member(tar, info) as stream,
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy,
    ):
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def _check_usable(manifest: Manifest) -> None:
    if manifest.engine != connection.vendor:
        raise BackupError(
            f"the backup holds a {manifest.engine} database and this app uses {connection.vendor}: set DATABASE_URL as "
            "it was, for example postgresql://user:password@127.0.0.1:5432/osteolens"
        )
    known = {".".join(key) for key in MigrationLoader(None).disk_migrations}
    if newer := sorted(set(manifest.migrations) - known):
        raise BackupError(
            f"the backup was made by OsteoLens {manifest.version}, which is newer than {__version__} here (it knows "
            f"{newer[0]}): install that version and restore with it"
        )


def _here() -> str:
    """What would be lost, in words; empty where there is nothing."""
    tables = connection.introspection.table_names()
    counts = {
        word: model.objects.count() if model._meta.db_table in tables else 0
        for word, model in (("films", Film), ("accounts", User))
    }
    folders = sum(1 for group in storage.groups() for _ in group.iterdir())
    counts["films"] = max(counts["films"], folders)
    return " and ".join(f"{count} {word}" for word, count in counts.items()) if any(counts.values()) else ""


@contextmanager
def _alone() -> Iterator[None]:
    """Keep the app from being started meanwhile.

    Raises:
        BackupError: It runs.
    """
    try:
        with under_way.folder_alone():
            yield
    except BlockingIOError:
        raise BackupError(
            "the app runs in this folder: stop it first (and `manage.py answer_films`, if it runs)"
        ) from None


def _applied() -> list[str]:
    return sorted(".".join(key) for key in MigrationRecorder(connection).applied_migrations())


def _day(manifest: Manifest) -> str:
    return f"{manifest.made_at:%Y-%m-%d %H:%M} UTC"
