"""Many films over HTTP: inputs of any kind in, tables and overlays out, nothing asked twice and nothing lost.

What happens in which file: `inputs` finds the films, `asking` takes each through reading (`reading`), sending (`send`,
`gate`) and drawing (`drawing`), `journal` keeps what is done, `tables`, `report` and `account` write the results, `job`
holds it together.
"""

from osteolens.batch.account import Totals
from osteolens.batch.job import Summary, run
from osteolens.errors import BatchError

__all__ = ["BatchError", "Summary", "Totals", "run"]
