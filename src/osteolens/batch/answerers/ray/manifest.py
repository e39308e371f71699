"""What all partitions of an output folder have in common, so that nothing else is ever mixed in: DIR/ray.json."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osteolens.batch.answerers.ray.archive import Model
from osteolens.batch.answerers.ray.partitions import FOLDER
from osteolens.batch.outputs import run_json
from osteolens.batch.outputs.tables import CSV
from osteolens.batch.storage import DATABASE, RAY_BATCH, lock
from osteolens.errors import BatchError, ModelChanged, OtherBatch
from osteolens.files import write_text

FORMAT = 1
_KEYS = frozenset({"format", "models", "explain", "versions"})


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep every other batch out of an output folder, which is made if it is not there.

    Raises:
        FolderInUse: Another batch runs on this folder.
        OtherBatch: The folder holds a batch over HTTP.
    """
    if (out / DATABASE).exists():
        raise OtherBatch(f"{out} holds a batch over HTTP; give another --out, or go on with it by --engine http")
    out.mkdir(parents=True, exist_ok=True)
    held = lock(out)
    try:
        yield
    finally:
        held.close()


def settle(
    out: Path, models: Sequence[Model], explain: str, carried: Sequence[str], *, facts: bool, accept_new_model: bool
) -> tuple[list[str], bool]:
    """Compare a call with what the folder holds, and note what it adds.

    Args:
        out: The output folder; this call has its lock.
        models: Of the call.
        explain: Likewise.
        carried: The inputs' own columns.
        facts: Whether anything is known of any patient.
        accept_new_model: Forget all answers if a model has changed.

    Returns:
        `carried` and `facts` of all calls on this folder.

    Raises:
        OtherBatch: The folder holds answers of other models or with other options.
        ModelChanged: It holds answers of another version of a model.
    """
    wanted = {"format": FORMAT, "models": sorted(model.name for model in models), "explain": explain}
    versions = {model.name: [model.card.version, model.card.sha256, model.backend] for model in models}
    found = read(out)
    if found:
        _compare(out, found, wanted)
        changed = [name for name, version in versions.items() if version != found["versions"][name]]
        if changed and not accept_new_model:
            raise ModelChanged(_told(changed[0], found["versions"], versions))
        if changed:
            forget(out)
            found = {}
    carried = list(dict.fromkeys([*found.get("carried", []), *carried]))
    facts = facts or found.get("facts", False)
    _write(out / RAY_BATCH, wanted | {"versions": versions, "carried": carried, "facts": facts})
    return carried, facts


def read(out: Path) -> dict[str, Any]:
    """The manifest; empty if there is none.

    Raises:
        BatchError: It is none.
    """
    path = out / RAY_BATCH
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
            raise ValueError(f"it lacks {', '.join(sorted(_KEYS))}")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BatchError(
            f"{path} is damaged: {error}; --fresh starts again in this folder, or give another --out"
        ) from error
    return manifest


def forget(out: Path) -> None:
    """Delete what earlier calls did in a folder: the answers first, so that none is left without its manifest."""
    if (out / FOLDER).is_dir():
        shutil.rmtree(out / FOLDER)
    for name in (RAY_BATCH, CSV, run_json.FILE):
        (out / name).unlink(missing_ok=True)


def _compare(out: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [name for name, value in wanted.items() if found.get(name) != value]
    if differing:
        there, here = (", ".join(f"{name} {given.get(name)}" for name in differing) for given in (found, wanted))
        raise OtherBatch(
            f"{out} holds a batch with {there}; this call says {here}. Give the same options to go on with it, another "
            "--out, or --fresh to forget it"
        )


def _told(model: str, before: dict[str, Any], now: dict[str, Any]) -> str:
    (old, old_card, old_backend), (new, new_card, new_backend) = before[model], now[model]
    return (
        f"{model} is now version {new} (card {new_card[:12]}, {new_backend}), but earlier rows are from version {old} "
        f"(card {old_card[:12]}, {old_backend}): --accept-new-model asks about all films again, or use the earlier one"
    )


def _write(path: Path, manifest: dict[str, Any]) -> None:
    try:
        write_text(path, json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise BatchError(f"{path} cannot be written: {error.strerror}; is the disk full?") from error
