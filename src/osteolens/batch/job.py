"""A whole batch: from the inputs to the tables, the page and the account of the run."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from osteolens.batch.answerers.http import feeding
from osteolens.batch.answerers.http.asking import Asking
from osteolens.batch.answerers.http.send import Patience, Sender, Transport
from osteolens.batch.films import STANDARD_INPUT, Film, Sources
from osteolens.batch.journal import Journal
from osteolens.batch.outputs import overlays as overlay_files
from osteolens.batch.outputs import page, run_json, tables
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.outputs.run_json import Totals
from osteolens.batch.progress import Reporter, Style
from osteolens.batch.storage import DATABASE
from osteolens.client import DEFAULT_MODEL, AsyncClient, server_address
from osteolens.datasets.folders import describe
from osteolens.errors import BatchError, OsteoLensError
from osteolens.files import delete
from osteolens.films.overlay import DEFAULT_COLOUR_MAP

MAX_IN_FLIGHT = 32
FOUND_AT_A_TIME = 256


@dataclass(frozen=True)
class Summary:
    """What a finished batch came to.

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


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    models: Sequence[str] = (DEFAULT_MODEL,),
    server: str | None = None,
    key_file: Path | None = None,
    overlays: bool = False,
    opacity: float = 0.6,
    colour_map: str = DEFAULT_COLOUR_MAP,
    explain: str | None = None,
    max_in_flight: int = MAX_IN_FLIGHT,
    connect_timeout: float = 5.0,
    read_timeout: float = 60.0,
    total_timeout: float = 120.0,
    wait: float = 60.0,
    null: bool = False,
    fresh: bool = False,
    accept_new_model: bool = False,
    progress: Style = "bar",
) -> Summary:
    """Ask a server about films, and write the results into a folder. The same call again goes on where it stopped.

    In a running event loop (a notebook): `await asyncio.to_thread(run, ...)`.

    Args:
        inputs: Files, folders, globs, tables with a column `file`, or `-` for standard input.
        out: Folder for the results.
        models: Names of served models; each is asked about each film.
        server: Address; default: the variable OSTEOLENS_URL, else http://127.0.0.1:8080.
        key_file: TorchServe's key file; default: the variable OSTEOLENS_KEY, else key_file.json here.
        overlays: Write each film under its heat map.
        opacity: Of the overlays, 0 to 1.
        colour_map: Of the overlays, one of `osteolens.films.overlay.COLOUR_MAPS`.
        explain: The explanation to ask for; default: `gradcam` with overlays, else `none`.
        max_in_flight: Most requests under way per model.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next bytes of an answer.
        total_timeout: Seconds to wait for a whole answer.
        wait: Seconds to wait for a server that does not answer.
        null: Paths on standard input end in a zero byte.
        fresh: Forget what an earlier batch did in this folder.
        accept_new_model: Go on although the server has another version of a model, and ask about the films again
            that the earlier one answered.
        progress: `bar`, `quiet` or `json`.

    Raises:
        ServerUnreachable: The server has not answered for `wait` seconds. As after the errors below, all answers so
            far are safe and in the tables.
        BatchError: The call makes no sense, the folder is another batch's, the model has changed, the server refuses
            everybody, or the results cannot be written; the message says how to go on.
        ClientError: The address or the key file makes no sense.
    """
    _check(models, max_in_flight)
    look = Look(opacity, colour_map)
    patience = Patience(connect_timeout, read_timeout, total_timeout, wait)
    out = Path(out)
    sources = Sources([str(name) for name in inputs], out, null)
    explain = explain or ("gradcam" if overlays else "none")
    identity = {"models": sorted(models), "explain": explain, "overlays": str(look) if overlays else "none"}
    timeout = httpx.Timeout(read_timeout, connect=connect_timeout)
    # Made before anything else: an address or a key that makes no sense is told before there is an output folder.
    client = AsyncClient(server, key_file=key_file, timeout=timeout, transport=Transport(server_address(server)))
    started = time.monotonic()
    forgotten = fresh and (out / DATABASE).is_file()
    with Journal(out, identity, fresh=fresh) as journal, Reporter(progress) as reporter:
        if forgotten:
            _clear(out)
        call = {
            "inputs": sources.names, "out": str(out), "models": list(models), "server": client.url, "explain": explain,
            "overlays": overlays, **asdict(look), "max_in_flight": max_in_flight, **asdict(patience),
            "accept_new_model": accept_new_model,
        }  # fmt: skip
        reporter.event("start", **call)
        stopped: BaseException | None = None
        try:
            sender = Sender(client, models, ceiling=max_in_flight, patience=patience, tell=reporter.tell)
            drawn = look if overlays else None
            asking = Asking(journal, sender, tuple(models), client.url, explain, drawn, accept_new_model, reporter)
            _count(sources, reporter, len(models))
            asyncio.run(_ask(asking, sources, client, max_in_flight))
            if sources.passed_over:
                reporter.tell(describe(sources.passed_over))
        except (OsteoLensError, KeyboardInterrupt) as error:
            stopped = error
        totals = _finish(journal, sources, call, stopped)
        status = totals.status(stopped)
        reporter.event("end", status=status, **asdict(totals))
        if stopped:
            raise stopped
        return Summary(status, totals, time.monotonic() - started, reporter.answered, out)


def _clear(out: Path) -> None:
    """Delete what an earlier batch left beside its journal."""
    for name in (overlay_files.FOLDER, tables.PARQUET, tables.CSV, page.FILE, run_json.FILE):
        delete(out / name)


async def _ask(asking: Asking, sources: Sources, client: AsyncClient, at_once: int) -> None:
    """Ask about all films, and then about those whose answers have become outdated on the way."""
    size = 1 if STANDARD_INPUT in sources.names else FOUND_AT_A_TIME  # paths on standard input may come slowly
    async with client:
        try:
            await asking.ask_about(feeding.parts(sources, size), at_once=at_once)
            await asking.ask_about(_outdated(asking.journal), at_once=at_once)
        except BaseExceptionGroup as group:
            raise _first(group) from None


async def _outdated(journal: Journal) -> AsyncIterator[list[Film]]:
    for films in journal.pending():
        yield films


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _count(sources: Sources, reporter: Reporter, models: int) -> None:
    """Count the films meanwhile, so that the time left can be told; nothing waits for it."""

    def count() -> None:
        with suppress(OsteoLensError, OSError):  # told where the films are asked about
            films = sources.count()
            reporter.total = None if films is None else films * models

    threading.Thread(target=count, daemon=True).start()


def _finish(journal: Journal, sources: Sources, call: Mapping[str, Any], stopped: BaseException | None) -> Totals:
    """Write what is known now: also after a stop, so that nothing that was answered has to wait."""
    totals = Totals.of(journal)
    facts = run_json.call_facts(call) | {"stopped": str(stopped) or type(stopped).__name__ if stopped else None}
    journal.end(totals.status(stopped), facts)
    tables.write_tables(journal)
    page.write_page(journal)
    run_json.write_run_json(journal, sources.passed_over)
    return totals


def _check(models: Sequence[str], max_in_flight: int) -> None:
    if not models or len(set(models)) < len(models) or any(not model or "/" in model for model in models):
        raise BatchError(
            f"models are {list(models)}; give the name of each served model once, for example efficientnet"
        )
    if max_in_flight < 1:
        raise BatchError(f"at most {max_in_flight} requests under way make no sense; for example {MAX_IN_FLIGHT}")
