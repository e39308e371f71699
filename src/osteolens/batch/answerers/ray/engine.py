"""A whole batch on Ray: from the inputs to the partitions and the account of the run."""

# mypy: disable-error-code="import-untyped"
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from osteolens.batch.answerers.ray import account, films, layout, manifest
from osteolens.batch.answerers.ray.actor import Job
from osteolens.batch.answerers.ray.archive import find_model
from osteolens.batch.answerers.ray.partitions import FOLDER, NAME, Partitions
from osteolens.batch.answerers.ray.planning import PARTITION, plan
from osteolens.batch.answerers.ray.spread import answered
from osteolens.batch.job import Summary
from osteolens.batch.progress import Reporter, Style
from osteolens.batch.rows import now
from osteolens.client import DEFAULT_MODEL
from osteolens.cluster import ray_session
from osteolens.errors import BatchError, OsteoLensError

EXPLAIN = ("none", "gradcam")
"""What the exported graphs draw themselves."""


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    models: Sequence[str] = (DEFAULT_MODEL,),
    store: Path = Path("model_store"),
    weights: Path = Path("weights"),
    exports: Path = Path("build"),
    explain: str = "none",
    null: bool = False,
    fresh: bool = False,
    accept_new_model: bool = False,
    progress: Style = "bar",
) -> Summary:
    """Answer films on all cores of a Ray cluster, without a server. The same call again goes on where it stopped.

    The variable RAY_ADDRESS says which cluster; without it the cores of this machine are used. Every machine needs
    this package; the models come from this one. Films are read where they are answered: their paths must lead to the
    same files on every machine, or be addresses such as `s3://bucket/knees`.

    Args:
        inputs: Files, folders, globs, tables (CSV, Excel, Parquet) with a column `file`, `-` for standard input, or
            addresses of such things that fsspec can reach.
        out: Folder of this machine for the results.
        models: Their names; each is asked about each film.
        store: Folder with the models' archives.
        weights: Folder with the model folders, for models that have no archive.
        exports: Folder with their exported graphs.
        explain: `gradcam` to have the heat map's class and maximum in the rows, or `none`.
        null: Paths on standard input end in a zero byte.
        fresh: Forget what an earlier batch did in this folder.
        accept_new_model: If a model has changed, ask about all films again.
        progress: `bar`, `quiet` or `json`.

    Raises:
        BatchError: The call makes no sense, the folder is another batch's, a model has changed or is not there, or the
            results cannot be written; the message says how to go on.
        CardError, ExportError, ServerError: A model's files do not belong together.
    """
    _check(models, explain)
    out, names, started, begun = Path(out), [str(name) for name in inputs], time.monotonic(), now()
    found = [find_model(name, store=store, weights=weights, exports=exports) for name in models]
    gathered = films.gather(films.find(names, out, null=null))
    with manifest.locked(out), Reporter(progress) as reporter:
        if fresh:
            manifest.forget(out)
        carried, facts = manifest.settle(
            out, found, explain, layout.carried_names(gathered),
            facts=layout.any_facts(gathered), accept_new_model=accept_new_model,
        )  # fmt: skip
        columns = layout.layout_of([model.card for model in found], carried, facts=facts)
        partitions = Partitions(out / FOLDER, len(models))
        todo = plan(gathered, partitions.known())
        call = {"engine": "ray", "inputs": names, "out": str(out), "models": list(models), "explain": explain}
        reporter.event("start", **call)
        reporter.total = len(gathered) * len(models)
        reporter.passed((len(gathered) - len(todo)) * len(models))
        stopped: BaseException | None = None
        try:
            if len(todo):
                with ray_session():
                    _answer(todo, Job(found, explain, columns), partitions, reporter)
        except (OsteoLensError, KeyboardInterrupt) as error:
            stopped = error
        totals = account.write(out, partitions, columns.schema, call, begun, stopped)
        reporter.event("end", **vars(totals))
    if stopped:
        raise stopped
    return Summary(totals.status(), totals, time.monotonic() - started, reporter.answered, out)


def _check(models: Sequence[str], explain: str) -> None:
    if explain not in EXPLAIN:
        raise BatchError(f"explain is {explain!r}; on Ray it is {' or '.join(EXPLAIN)}: other methods need a server")
    if not models or len(set(models)) < len(models):
        raise BatchError(f"models are {list(models)}; give the name of each model once, for example efficientnet")


def _answer(todo: pa.Table, job: Job, partitions: Partitions, reporter: Reporter) -> None:
    """Answer films, and write each partition as soon as it is complete."""
    missing = Counter(todo[PARTITION].to_pylist())
    waiting: dict[int, list[pa.Table]] = defaultdict(list)
    schema = job.layout.schema
    for rows in answered(todo, job):
        _report(rows, reporter)
        for number in rows[PARTITION].unique().to_pylist():
            part = rows.filter(pc.equal(rows[PARTITION], number))
            waiting[number].append(part)
            missing[number] -= len(part[NAME].unique())
            if not missing[number]:
                partitions.write(number, waiting.pop(number), schema)
    if missing.total():
        raise BatchError(f"{missing.total():,} films came back without an answer; the same command asks again")


def _report(rows: pa.Table, reporter: Reporter) -> None:
    columns = (rows[name].to_pylist() for name in ("file", "model", "error_code", "error_message"))
    for file, model, code, message in zip(*columns, strict=True):
        reporter.passed(answered=code is None, error=code is not None)
        if code is not None:
            reporter.failed(file, model, code, message)
