"""Films of a batch answered on every core of a Ray cluster.

What happens in which file: `films` finds the films (`remote` those behind an fsspec address), `planning` decides which
still need an answer, `actor` answers them on every core with a model that `archive` found, `partitions` keeps what is
done, `engine` holds it together.
"""

from osteolens.batch.answerers.ray.engine import run

__all__ = ["run"]
