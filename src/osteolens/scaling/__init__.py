"""The work of one machine spread over many, on Ray: batches of films, and the folds of a cross-validation.

What happens in which file: `films` finds the films (`remote` those behind an fsspec address), `planning` decides which
still need an answer, `actor` answers them on every core with a model that `archive` found, `partitions` keeps what is
done, `engine` holds it together. `folds` trains, and `session` starts Ray or joins it.
"""

from osteolens.scaling.engine import run

__all__ = ["run"]
