"""Takes over the folder of a batch on Ray of earlier versions, which had no journal: its rows go into one."""

# mypy: disable-error-code="import-untyped"
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from osteolens.batch.films import Film
from osteolens.batch.journal import Journal
from osteolens.batch.outputs import run_json
from osteolens.batch.outputs.tables import PARQUET, Layout
from osteolens.batch.rows import COLUMNS, FUSED_SHARES, SHARES
from osteolens.errors import BatchError, in_words
from osteolens.parameters import PATIENT_FACTS

MANIFEST = "ray.json"
_KEYS = frozenset({"models", "explain", "versions"})


def is_earlier(out: Path) -> bool:
    """Whether a folder is that of an earlier version's batch on Ray."""
    return (out / MANIFEST).is_file()


def adopt(out: Path) -> None:
    """Bring all rows of such a folder into a journal; nothing happens in any other folder.

    Files are read once more by the next call, as only a hash of their size and time is known, and answered again only
    where their content has changed.

    Raises:
        BatchError: The manifest or a partition is damaged, or the journal cannot be written.
    """
    if not is_earlier(out):
        return
    manifest = _manifest(out / MANIFEST)
    identity = {"models": sorted(manifest["models"]), "explain": manifest["explain"], "overlays": "none"}
    with Journal(out, identity) as journal:
        for model, (version, card, _) in manifest["versions"].items():
            journal.set_card(model, version, card)
        for path in sorted((out / PARQUET).glob("part-*.parquet")):
            with journal.together():
                _take_over(path, manifest.get("carried", []), journal)
        calls = _calls(out / run_json.FILE)
        facts = {"call": {"engine": "ray", "server": "ray"}, "stopped": None, "earlier_calls": calls}
        journal.end(0, facts)
        (out / MANIFEST).unlink()  # last: a kill before leaves a folder that is taken over again


def _take_over(path: Path, carried_names: list[str], journal: Journal) -> None:
    try:
        table = parquet.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise BatchError(f"{path} is damaged ({in_words(error)}); delete it to answer its films again") from error
    labels, fused_labels = (
        tuple(name.removeprefix(f"{prefix}_") for name in table.column_names if name.startswith(f"{prefix}_"))
        for prefix in (SHARES, FUSED_SHARES)
    )
    carried = Layout.around(labels, fused_labels, carried_names).carried
    for row in table.to_pylist():
        if r"\x" in row["path"]:  # the name was no text, and cannot be told from here: that film is answered again
            continue
        facts: dict[str, str] = {name: row[name] for name in PATIENT_FACTS if row[name] is not None}
        own = {name: row[column] for name, column in carried.items() if row.get(column) is not None}
        film = Film(row["path"], row["file"], row["id"] or "", facts, own, row["bytes"] or 0)
        columns = {column.name: row[column.name] for column in COLUMNS}
        journal.record(
            film, row["model"], columns, _shares(row, SHARES, labels), _shares(row, FUSED_SHARES, fused_labels)
        )


def _shares(row: Mapping[str, Any], prefix: str, labels: tuple[str, ...]) -> dict[str, float]:
    values = {label: row[f"{prefix}_{label}"] for label in labels}
    return {label: value for label, value in values.items() if value is not None}


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
            raise ValueError(f"it lacks {', '.join(sorted(_KEYS))}")
    except ValueError as error:
        raise BatchError(
            f"{path} is damaged: {error}; --fresh starts again in this folder, or give another --out"
        ) from error
    return manifest


def _calls(path: Path) -> Any:
    """The calls that the earlier version noted; none if its account is damaged, as no row depends on it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["calls"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
