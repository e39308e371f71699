"""The archives of a model store and the checksums beside them."""

import json
import zipfile
from pathlib import Path

from osteolens.card import file_sha256
from osteolens.errors import ServerError


def verify_archives(store: Path) -> tuple[str, ...]:
    """The model names in a store, after each archive was compared with the checksum beside it.

    Raises:
        ServerError: There is no archive, or one has no checksum or another one (both hashes are named).
    """
    archives = sorted(store.glob("*.mar"))
    if not archives:
        raise ServerError(f"no archive in {store}: run `make archives`, or export/build_mar.py MODEL_FOLDER")
    for archive in archives:
        checksum = archive.with_name(f"{archive.name}.sha256")
        if not checksum.is_file():
            raise ServerError(f"{archive} has no {checksum.name} beside it: build it with export/build_mar.py")
        expected, found = checksum.read_text().split()[0], file_sha256(archive)
        if found != expected:
            raise ServerError(
                f"{archive} is not what was built: its sha256 is {found}, {checksum.name} says {expected}"
            )
    return tuple(_model_name(archive) for archive in archives)


def _model_name(archive: Path) -> str:
    with zipfile.ZipFile(archive) as stored:
        return str(json.loads(stored.read("MAR-INF/MANIFEST.json"))["model"]["modelName"])
