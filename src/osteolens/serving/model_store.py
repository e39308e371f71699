"""The archives of a model store and the checksums beside them."""

import json
import re
import zipfile
from pathlib import Path

from osteolens.card import file_sha256
from osteolens.errors import ServerError


def verify_archives(store: Path) -> tuple[str, ...]:
    """The model names in a store, after each archive was compared with the checksum beside it.

    Raises:
        ServerError: There is no archive, or one has no checksum or another one (both hashes are named), or is no zip
            file with a manifest.
    """
    archives = sorted(store.glob("*.mar"))
    if not archives:
        raise ServerError(
            f"no archive in {store}: run `make archives`, or osteolens export and osteolens archive MODEL"
        )
    for archive in archives:
        checksum = archive.with_name(f"{archive.name}.sha256")
        if not checksum.is_file():
            raise ServerError(f"{archive} has no {checksum.name} beside it: build it with osteolens archive")
        expected, actual = read_checksum(checksum), file_sha256(archive)
        if not expected:
            raise ServerError(f"{checksum} holds no checksum: build it again with osteolens archive --force")
        if actual != expected:
            raise ServerError(
                f"{archive} is not what was built: its sha256 is {actual}, {checksum.name} says {expected}"
            )
    return tuple(_model_name(archive) for archive in archives)


def read_checksum(path: Path) -> str:
    """The SHA-256 in a file as `sha256sum` writes it; an empty text where it holds none."""
    match = re.match(rb"([0-9a-f]{64})\b", path.read_bytes())
    return match[1].decode() if match else ""


def _model_name(archive: Path) -> str:
    try:
        with zipfile.ZipFile(archive) as stored:
            return str(json.loads(stored.read("MAR-INF/MANIFEST.json"))["model"]["modelName"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ServerError(
            f"{archive} is no archive of a model ({error}): build it with osteolens archive --force"
        ) from error
