"""Many films in one call: inputs of any kind in, tables, page and overlays out, nothing twice and nothing lost.

`films` finds the films, one of the `answerers` answers them, `journal` keeps what is done, `outputs` writes the
results, `job` holds it together.
"""

from osteolens.batch.answerers.http import run
from osteolens.batch.job import Summary
from osteolens.batch.outputs.run_json import Totals
from osteolens.errors import BatchError

__all__ = ["BatchError", "Summary", "Totals", "run"]
