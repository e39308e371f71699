"""What `osteolens batch --engine ray` says at its end."""

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osteolens.batch.job import INTERRUPTED
from osteolens.scaling.engine import run


def run_command(inputs: Sequence[str], out: Path, options: Mapping[str, Any]) -> int:
    """Run a batch on Ray, say on standard error what came of it, and give the exit status.

    Args:
        inputs: As given.
        out: As given.
        options: Of `osteolens.scaling.run`.

    Raises:
        OsteoLensError: What must be mended before the batch can go on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped stops as on Ctrl-C
    try:
        summary = run(inputs, out, **options)
    except KeyboardInterrupt:
        print(f"stopped; finished partitions are in {out}, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    totals = summary.totals
    print(
        f"{totals.answered:,} answered, {totals.refused + totals.failed:,} failed; {summary.answers:,} answers in "
        f"{summary.seconds:.1f} s; see {out}/results.csv",
        file=sys.stderr,
    )
    return summary.status
