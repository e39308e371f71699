"""What is written at the end of a batch on Ray: results.csv and run.json."""

# mypy: disable-error-code="import-untyped"
import csv
import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from osteolens import __version__
from osteolens.batch.answerers.ray import manifest
from osteolens.batch.answerers.ray.partitions import Partitions
from osteolens.batch.outputs.run_json import FILE, Totals
from osteolens.batch.outputs.tables import CSV
from osteolens.batch.rows import now
from osteolens.errors import BatchError
from osteolens.files import harmless, whole

_PACKAGES = ("ray", "pyarrow", "onnxruntime", "fsspec")


def write(
    out: Path,
    partitions: Partitions,
    schema: pa.Schema,
    call: Mapping[str, Any],
    begun: str,
    stopped: BaseException | None,
) -> Totals:
    """Write both files from what the partitions hold, and count it.

    Args:
        out: The output folder.
        partitions: Those that fit an older schema are brought up to date.
        schema: Of the results.
        call: What was asked for.
        begun: When, as `osteolens.batch.rows.now` says it.
        stopped: What ended it early, if anything.

    Raises:
        BatchError: They cannot be written (disk full).
    """
    for number in partitions.numbers():
        if partitions.columns(number) != schema.names:
            partitions.write(number, [], schema)
    statuses = Counter[str]()
    with _written(out / CSV) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        sheet = csv.writer(stream)
        sheet.writerow(map(harmless, schema.names))
        for rows in partitions.rows():
            sheet.writerows(map(harmless, row.values()) for row in rows.to_pylist())
            statuses.update(rows["status"].to_pylist())
    totals = Totals(**statuses)
    _add_call(out, call, begun, totals, stopped)
    return totals


def _add_call(out: Path, call: Mapping[str, Any], begun: str, totals: Totals, stopped: BaseException | None) -> None:
    path = out / FILE
    earlier = _earlier_calls(path)
    versions = {"osteolens": __version__, "python": platform.python_version()}
    versions |= {package: version(package) for package in _PACKAGES}
    reason = str(stopped) or type(stopped).__name__ if stopped else None
    this = {
        "started": begun,
        "ended": now(),
        "stopped": reason,
        "call": {"engine": "ray", **call},
        "versions": versions,
    }
    calls = [*earlier, this]
    account = {
        "started": calls[0]["started"],
        "ended": this["ended"],
        "totals": asdict(totals),
        "models": manifest.read(out)["versions"],
        "calls": calls,
    }
    with _written(path) as draft:
        draft.write_text(json.dumps(account, indent=2) + "\n")


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A draft's name; what was written there takes its place at the end."""
    try:
        with whole(path) as draft:
            yield draft
    except OSError as error:
        raise BatchError(
            f"{path} cannot be written: {error.strerror or error}; when that is fixed (is the disk full?), the same "
            "command writes it"
        ) from error


def _earlier_calls(path: Path) -> list[Any]:
    try:
        calls: list[Any] = json.loads(path.read_text(encoding="utf-8"))["calls"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise BatchError(
            f"{path}, the account of earlier calls, is damaged: {error}; move it away, and the same command goes on"
        ) from error
    return calls
