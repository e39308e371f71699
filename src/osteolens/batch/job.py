"""A whole batch, whoever answers: from the inputs to the tables, the page and the record of its calls."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from osteolens.batch import earlier
from osteolens.batch.films import Sources
from osteolens.batch.journal import Journal
from osteolens.batch.outputs import overlays as overlay_files
from osteolens.batch.outputs import page, run_json, tables
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.outputs.run_json import Totals
from osteolens.batch.progress import Reporter, Style
from osteolens.batch.storage import DATABASE
from osteolens.batch.work import Work
from osteolens.datasets.folders import describe
from osteolens.errors import BatchError, OsteoLensError
from osteolens.files import delete


class Answerer(Protocol):
    """Who answers the films of a batch.

    Attributes:
        server: Address that answers, for the rows; `ray` for a cluster.
        options: What belongs to this answerer alone, for run.json.
        packages: The packages whose versions run.json names.
    """

    server: str
    options: dict[str, Any]
    packages: tuple[str, ...]

    def answer(self, work: Work, sources: Sources) -> None:
        """Answer all films that have no final row yet, and those whose answers have become outdated."""


@dataclass(frozen=True)
class Summary:
    """Outcome of a finished batch.

    Attributes:
        status: 0 if every film has its answer, 3 if some have an error in its place.
        totals: Rows by what became of them, of all calls on this output folder.
        seconds: That this call took.
        answers: That came in this call.
        out: The output folder.
    """

    status: int
    totals: Totals
    seconds: float
    answers: int
    out: Path


def run_batch(
    sources: Sources,
    answerer: Answerer,
    *,
    models: Sequence[str],
    explain: str | None,
    force: bool,
    overlays: bool,
    look: Look,
    fresh: bool,
    accept_new_model: bool,
    progress: Style,
) -> Summary:
    """Answer films, and write the results into the folder `sources.out`; see the two `run` of the answerers.

    Args:
        sources: The films, and the output folder.
        answerer: Who answers.
        models: Their names; each answers each film.
        explain: The explanation to ask for; default: `gradcam` with overlays, else `none`.
        force: Have films answered that the gate refuses, too.
        overlays: Write each film under its heat map.
        look: Look of the overlays.
        fresh: Forget what an earlier batch did in this folder.
        accept_new_model: Go on with another version of a model.
        progress: `bar`, `quiet` or `json`.
    """
    _check(models)
    out, started = sources.out, time.monotonic()
    explain = explain or ("gradcam" if overlays else "none")
    identity = {"models": sorted(models), "explain": explain, "overlays": str(look) if overlays else "none"}
    identity |= {"force": "true"} if force else {}  # left out otherwise, as in the journals of earlier versions
    forgotten = fresh and ((out / DATABASE).is_file() or earlier.is_earlier(out))
    if not fresh:
        earlier.adopt(out)
    with Journal(out, identity, fresh=fresh) as journal, Reporter(progress) as reporter:
        if forgotten:
            _clear(out)
        call = {
            "inputs": sources.names, "out": str(out), "models": list(models), "server": answerer.server,
            "explain": explain, "force": force, "overlays": overlays, **asdict(look), **answerer.options,
            "accept_new_model": accept_new_model,
        }  # fmt: skip
        reporter.event("start", **call)
        stopped: BaseException | None = None
        try:
            drawn = look if overlays else None
            options = {"explain": explain} | ({"force": "true"} if force else {})
            work = Work(journal, tuple(models), answerer.server, options, drawn, accept_new_model, reporter)
            _count(sources, reporter, len(models))
            answerer.answer(work, sources)
            if sources.passed_over:
                reporter.tell(describe(sources.passed_over))
        except (OsteoLensError, KeyboardInterrupt) as error:
            stopped = error
        totals = _finish(journal, sources, run_json.call_facts(call, answerer.packages), stopped)
        status = totals.status(stopped)
        reporter.event("end", status=status, **asdict(totals))
        if stopped:
            raise stopped
        return Summary(status, totals, time.monotonic() - started, reporter.answered, out)


def _clear(out: Path) -> None:
    """Delete what an earlier batch left beside its journal."""
    for name in (overlay_files.FOLDER, tables.PARQUET, tables.CSV, page.FILE, run_json.FILE, earlier.MANIFEST):
        delete(out / name)


def _count(sources: Sources, reporter: Reporter, models: int) -> None:
    """Count the films meanwhile, to estimate the time left; nothing waits for it."""

    def count() -> None:
        with suppress(OsteoLensError, OSError):  # reported where the films are read
            films = sources.count()
            reporter.total = None if films is None else films * models

    threading.Thread(target=count, daemon=True).start()


def _finish(journal: Journal, sources: Sources, facts: dict[str, Any], stopped: BaseException | None) -> Totals:
    """Write what is known now: also after a stop, so that nothing that was answered has to wait."""
    totals = Totals.of(journal)
    facts |= {"stopped": str(stopped) or type(stopped).__name__ if stopped else None}
    journal.end(totals.status(stopped), facts)
    tables.write_tables(journal)
    tables.write_knees(journal)
    page.write_page(journal)
    run_json.write_run_json(journal, sources.passed_over)
    return totals


def _check(models: Sequence[str]) -> None:
    if not models or len(set(models)) < len(models) or any(not model or "/" in model for model in models):
        raise BatchError(f"models are {list(models)}; give the name of each model once, for example efficientnet")
