"""A batch on Ray: the models, and the way of the films to the actors and of their rows into the journal."""

# mypy: disable-error-code="import-untyped"
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from osteolens.batch.answerers.ray.actor import SERVER, FilmReader, Job
from osteolens.batch.answerers.ray.archive import Model, find_model
from osteolens.batch.answerers.ray.films import AnySources, film_of, gather
from osteolens.batch.films import Film, Sources
from osteolens.batch.job import Summary, run_batch
from osteolens.batch.outputs import overlays as overlay_files
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.progress import Style
from osteolens.batch.reading import Content
from osteolens.batch.work import Task, Work
from osteolens.client import DEFAULT_MODEL
from osteolens.cluster import cores, ray_session
from osteolens.console import EXPORTS, MODEL_STORE, WEIGHTS
from osteolens.errors import BatchError
from osteolens.films.overlay import DEFAULT_COLOUR_MAP

EXPLAIN = ("none", "gradcam")
"""What the exported graphs draw themselves."""
BATCH_FILMS = 256
"""Films of a batch at most: each batch costs Ray some 15 ms, 0.5 ms a film with 32 of them. Small jobs are cut into
`_BATCHES` for each actor, so that all come to their end at about the same time."""
_BATCHES = 8
_CORES_OF_AN_ACTOR = 0.5
"""Share of a core that an actor reserves. It uses a whole core, and there are as many actors as cores; half of one lets
those of a machine that is lost start again on the machines that are left, until these have two for each core."""


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    models: Sequence[str] = (DEFAULT_MODEL,),
    store: Path = MODEL_STORE,
    weights: Path = WEIGHTS,
    exports: Path = EXPORTS,
    overlays: bool = False,
    opacity: float = 0.6,
    colour_map: str = DEFAULT_COLOUR_MAP,
    explain: str | None = None,
    force: bool = False,
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
        models: Their names; each answers each film.
        store: Folder with the models' archives.
        weights: Folder with the model folders, for models that have no archive.
        exports: Folder with their exported graphs.
        overlays: Write each film under its heat map.
        opacity: Opacity of the overlays, 0 to 1.
        colour_map: Colour map of the overlays, one of `osteolens.films.overlay.COLOUR_MAPS`.
        explain: `gradcam` or `none`; default: `gradcam` with overlays, else `none`.
        force: Answer films that the gate refuses, too.
        null: Paths on standard input end in a zero byte.
        fresh: Forget what an earlier batch did in this folder.
        accept_new_model: If a model has changed, answer the films again that the earlier one answered.
        progress: `bar`, `quiet` or `json`.

    Raises:
        BatchError: The call makes no sense, the folder is another batch's, a model has changed or is not there, or the
            results cannot be written; the message says how to go on.
        CardError, ExportError, ServerError: A model's files do not belong together.
    """
    if explain not in (None, *EXPLAIN):
        raise BatchError(f"explain is {explain!r}; on Ray it is {' or '.join(EXPLAIN)}: other methods need a server")
    loaded = [find_model(name, store=store, weights=weights, exports=exports) for name in models]
    return run_batch(
        AnySources([str(name) for name in inputs], Path(out), null), _RayAnswerer(loaded),
        models=models, explain=explain, force=force, overlays=overlays, look=Look(opacity, colour_map), fresh=fresh,
        accept_new_model=accept_new_model, progress=progress,
    )  # fmt: skip


class _RayAnswerer:
    """Answers on a cluster; see `osteolens.batch.job.Answerer`."""

    server = SERVER
    packages: tuple[str, ...] = ("ray", "pyarrow", "onnxruntime", "fsspec")

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        self.options: dict[str, Any] = {"engine": "ray"}

    def answer(self, work: Work, sources: Sources) -> None:
        """Answer all films that have no final row yet, then those of a replaced version that no source named."""
        for model in self.models:
            work.is_current(model.name, model.card.version, model.card.sha256)
        self._answer(work, sources)
        self._answer(work, (film for films in work.journal.pending() for film in films))

    def _answer(self, work: Work, films: Iterable[Film]) -> None:
        tasks = gather(task for film in films if (task := work.task(film)))
        work.reporter.total = work.reporter.done + sum(len(json.loads(text)) for text in tasks["current"].to_pylist())
        if not len(tasks):
            return
        job = Job(self.models, work.options, work.look)
        missing = len(tasks)
        with ray_session():
            for rows in answered(tasks, job):
                with work.journal.together():
                    for row in rows.to_pylist():
                        _record(work, row)
                missing -= len(rows)
        if missing:
            raise BatchError(f"{missing:,} films came back without an answer; the same command answers them")


def _record(work: Work, row: dict[str, Any]) -> None:
    """Put an actor's answers about a film into the journal, and its overlays into their files."""
    film = film_of(row)
    content = Content(film, b"", row["sha256"])
    task = Task(film, {model: work.journal.known(film, model) for model in json.loads(row["current"])})
    answers, pictures = json.loads(row["answers"]), row["overlays"]
    for model in work.unanswered(content, task):
        number, columns, shares, fused_shares = answers[model]
        if pictures[number] is not None:
            columns["overlay"] = overlay_files.overlay_name(film.file, row["sha256"], model)
            overlay_files.write_overlay(work.journal.folder / columns["overlay"], pictures[number])
        work.record(content, model, columns, shares, fused_shares)
    work.finish(task)


class _Actor(FilmReader):
    """A `FilmReader` that fetches its job from Ray's store, where it lies once for all actors of a machine."""

    def __init__(self, job: Any) -> None:
        import ray

        super().__init__(ray.get(job["job"]))


def answered(films: pa.Table, job: Job) -> Iterator[pa.Table]:
    """Films with their answers, some at a time and in any order; each comes once, whatever machines are lost.

    Args:
        films: As `osteolens.batch.answerers.ray.films.gather` gives them.
        job: For the actors.

    Raises:
        BatchError: Ray cannot go on.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    batches = list(cut(films, min(BATCH_FILMS, -(-len(films) // (_BATCHES * cores())))))
    actors = min(cores(), len(batches))
    answers = ray.data.from_arrow(batches).map_batches(
        _Actor,
        fn_constructor_args=({"job": ray.put(job)},),
        batch_size=None,  # as they were cut
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
        num_cpus=_CORES_OF_AN_ACTOR,
    )
    try:
        yield from answers.iter_batches(batch_size=None, batch_format="pyarrow")
    except RayError as error:
        reason = "".join(str(error).strip().splitlines()[-1:])
        raise BatchError(
            f"Ray cannot go on: {reason}; all answers so far are kept, the same command goes on"
        ) from error


def cut(films: pa.Table, size: int) -> Iterator[pa.Table]:
    """Films in batches of at most `size`."""
    for start in range(0, len(films), size):
        yield films.slice(start, size).combine_chunks()
