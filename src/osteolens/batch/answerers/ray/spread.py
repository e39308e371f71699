"""Sends films to actors on every core of a Ray cluster, and gives their rows as they come."""

# mypy: disable-error-code="import-untyped"
import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from osteolens.batch.answerers.ray.actor import FilmReader, Job
from osteolens.cluster import cores
from osteolens.errors import BatchError

BATCH_FILMS = 256
"""Films of a batch at most: each batch costs Ray some 15 ms, 0.5 ms a film with 32 of them. Small jobs are cut into
`_BATCHES` for each actor, so that all come to their end at about the same time."""
_BATCHES = 8
_CORES_OF_AN_ACTOR = 0.5
"""What an actor asks Ray for. It uses a whole core, and there are as many actors as cores; asking for half of one lets
those of a machine that is lost start again on the machines that are left, until these have two for each core."""


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
        told = str(error).strip().splitlines()[-1:]
        raise BatchError(f"Ray cannot go on: {told}; all answers so far are kept, the same command goes on") from error


def cut(films: pa.Table, size: int) -> Iterator[pa.Table]:
    """Films in batches of at most `size`."""
    for start in range(0, len(films), size):
        yield films.slice(start, size).combine_chunks()
