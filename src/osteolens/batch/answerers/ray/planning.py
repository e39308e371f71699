"""Decides which films still need an answer, and which partition it goes to."""

# mypy: disable-error-code="import-untyped"
from collections.abc import Mapping
from itertools import count

import numpy as np
import pyarrow as pa

from osteolens.batch.answerers.ray.partitions import Known

PARTITION_FILMS = 512
"""Films of a partition: what is lost at most, times the partitions under way, when the driver is killed."""

PARTITION = "partition"


def plan(films: pa.Table, known: Mapping[bytes, Known]) -> pa.Table:
    """The films without a standing answer, with a column `partition`, by partition and path.

    A film that has a partition keeps it; new ones fill new partitions in the order of their paths, so that the same
    films always go to the same places.

    Args:
        films: Columns as in `osteolens.batch.answerers.ray.films.SCHEMA`, in the order of their paths.
        known: All films that have rows, by name.
    """
    names, states, codes = (films[column].to_pylist() for column in ("name", "state", "code"))
    taken = {film.partition for film in known.values()}
    free = (number for number in count() if number not in taken)
    new, current, places = 0, 0, []
    for name, state, code in zip(names, states, codes, strict=True):
        film = known.get(name)
        if film is None:
            current = next(free) if new % PARTITION_FILMS == 0 else current
            new += 1
        places.append(current if film is None else -1 if _stands(film, state, code) else film.partition)
    numbers = np.array(places, np.int64)
    order = np.argsort(numbers, kind="stable")
    planned = films.append_column(PARTITION, pa.array(numbers))
    return planned.take(pa.array(order[numbers[order] >= 0]))


def _stands(known: Known, state: bytes, code: str | None) -> bool:
    """Whether an earlier answer holds; a file that cannot be read now takes nothing back."""
    return known.final and (known.state == state or code is not None)
