"""The account of a batch, run.json: what was called, with which versions, when, and what came of it."""

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from osteolens import __version__
from osteolens.batch.journal import Journal
from osteolens.console import Status
from osteolens.errors import BatchError, ServerUnreachable
from osteolens.files import write_text

FILE = "run.json"


@dataclass(frozen=True)
class Totals:
    """Rows (films times models) of all calls on one output folder.

    Attributes:
        answered: With an answer.
        refused: Films or facts that cannot be used; not sent again while they stay as they are.
        failed: Not readable, or not answered; sent again by the next call.
        pending: Answered by another version of the model; sent again by the next call.
    """

    answered: int = 0
    refused: int = 0
    failed: int = 0
    pending: int = 0

    @classmethod
    def of(cls, journal: Journal) -> "Totals":
        """Count the rows of a journal."""
        totals = dict.fromkeys(("answered", "refused", "failed", "pending"), 0)
        for (_, status), count in journal.counts().items():
            totals[status] += count
        return cls(**totals)

    def status(self, stopped: BaseException | None = None) -> int:
        """The exit status of a batch with these totals, which an error or a signal may have stopped."""
        if isinstance(stopped, ServerUnreachable):
            return Status.UNREACHABLE
        if isinstance(stopped, KeyboardInterrupt):
            return Status.INTERRUPTED
        if stopped:
            return Status.USAGE
        return Status.SOME_FAILED if self.refused or self.failed else Status.DONE


def call_facts(call: Mapping[str, Any], packages: Iterable[str]) -> dict[str, Any]:
    """A call with the versions of the packages that it ran with."""
    versions = {"osteolens": __version__, "python": platform.python_version()}
    versions |= {package: version(package) for package in packages}
    return {"call": dict(call), "versions": versions, "machine": platform.platform()}


def write_run_json(journal: Journal, passed_over: Mapping[str, int]) -> Path:
    """Write run.json beside the journal.

    Args:
        journal: The batch's journal; its latest call has ended.
        passed_over: Files of folders that are no films by their suffix.

    Raises:
        BatchError: It cannot be written.
    """
    calls = [
        {"started": row["started"], "ended": row["ended"], "status": row["status"], **json.loads(row["facts"])}
        for row in journal.select("SELECT * FROM calls ORDER BY number")
    ]
    account = {
        "started": calls[0]["started"],
        "ended": calls[-1]["ended"],
        "status": calls[-1]["status"],
        "totals": asdict(Totals.of(journal)),
        "models": {model: {"version": card[0], "card_sha256": card[1]} for model, card in journal.cards.items()},
        "passed_over": dict(passed_over),
        "calls": calls,
    }
    path = journal.folder / FILE
    try:
        write_text(path, json.dumps(account, indent=2) + "\n")
    except OSError as error:
        raise BatchError(f"{path} cannot be written: {error.strerror}; is the disk full?") from error
    return path
