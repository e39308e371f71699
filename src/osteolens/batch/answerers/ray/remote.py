"""Finds and reads films behind an fsspec address, such as s3://bucket/knees/."""

# mypy: disable-error-code="import-untyped"
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from osteolens.batch.films import Film, Sources, problem_of
from osteolens.datasets.folders import FILM_SUFFIXES, is_ignored
from osteolens.datasets.tables import TABLE_SUFFIXES
from osteolens.errors import BatchError

_VERSION_FACTS = ("size", "ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
"""Facts of an object that change when its content does; each file system gives some of them."""


def is_remote(name: str) -> bool:
    """Whether a name is an address and not a path."""
    return "://" in name


def find(name: str, out: Path) -> Iterator[Film]:
    """The films of an address; in place of a time each has a number that changes when the object does.

    Args:
        name: A file, a folder (with all below it), a glob, or a table with a column `file`.
        out: Output folder, for the tables.

    Raises:
        BatchError: Nothing is there, or no package can reach it.
    """
    files, path = _opened(name)
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in TABLE_SUFFIXES:
        yield from _listed(files, name, path, out)
        return
    if any(sign in path for sign in "*?["):
        items = files.glob(path, detail=True)
    elif files.isdir(path):
        everything = files.find(path, detail=True)
        items = {item: info for item, info in everything.items() if _is_film(item.removeprefix(path))}
    else:
        items = {path: files.info(path)} if files.exists(path) else {}
    if not items:
        raise BatchError(f"there are no films at {name!r}; give a file, a folder or a glob, as s3://bucket/knees/*.png")
    for item, info in items.items():
        if info["type"] == "file":
            address = f"{name.partition('://')[0]}://{item}"
            yield Film(address, address, size=int(info["size"] or 0), mtime_ns=version_of(info))


def looked_at(film: Film, address: str) -> Film:
    """A table's film at an address, with its size and version, or with the problem of one that is not there."""
    try:
        files, path = _opened(address)
        info = files.info(path)
    except OSError as error:
        return replace(film, path=address, size=0, mtime_ns=0, problem=problem_of(error))
    return replace(film, path=address, size=int(info["size"] or 0), mtime_ns=version_of(info), problem=None)


def read(address: str) -> bytes:
    """The bytes of one film.

    Raises:
        OSError: It cannot be read.
    """
    files, path = _opened(address)
    content: bytes = files.cat_file(path)
    return content


def version_of(info: Mapping[str, Any]) -> int:
    """A number (56 bits of a hash) that changes when the object's facts do."""
    text = " ".join(f"{name}={info[name]}" for name in _VERSION_FACTS if info.get(name) is not None)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def _listed(files: Any, name: str, path: str, out: Path) -> Iterator[Film]:
    """The films of a table; their names are relative to its folder."""
    folder = name.rpartition("/")[0]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / PurePosixPath(path).name
        try:
            copy.write_bytes(files.cat_file(path))
        except OSError as error:
            raise BatchError(f"the table {name} cannot be read: {error}") from error
        for film in Sources([str(copy)], out):
            if film.problem and film.problem.code == "no_file":
                yield film
            else:
                yield looked_at(film, film.file if is_remote(film.file) else f"{folder}/{film.file}")


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it; those of s3:// and gs:// come with Arrow, if not otherwise."""
    scheme, _, path = address.partition("://")
    try:
        return fsspec.url_to_fs(address)  # type: ignore[no-any-return]
    except ImportError as error:
        if scheme not in ("s3", "gs"):
            raise BatchError(f"{address} needs a package: {error}") from error
    except ValueError as error:
        raise BatchError(f"{address} is no address that can be read: {error}; for example s3://bucket/knees") from error
    return _arrow_files(f"{scheme}://{path.partition('/')[0]}"), path


@cache
def _arrow_files(bucket: str) -> Any:
    """Arrow's file system for a bucket, which asks where it lies only once."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import FileSystem

    try:
        files, _ = FileSystem.from_uri(bucket)
    except OSError as error:
        raise BatchError(f"{bucket} cannot be reached: {error}") from error
    return ArrowFSWrapper(files)


def _is_film(inside: str) -> bool:
    parts = PurePosixPath(inside.strip("/")).parts
    return not any(map(is_ignored, parts)) and os.path.splitext(inside)[1].lower() in FILM_SUFFIXES  # noqa: PTH122 - addresses are no paths
