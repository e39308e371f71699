"""What `osteolens batch` says at its end."""

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from osteolens.batch.job import INTERRUPTED, run
from osteolens.errors import ServerUnreachable
from osteolens.predicting import UNREACHABLE


def run_command(inputs: Sequence[str], out: Path, options: Mapping[str, Any]) -> int:
    """Run a batch, say on standard error what came of it, and give the exit status.

    Args:
        inputs: As given.
        out: As given.
        options: Of `osteolens.batch.run`.

    Raises:
        OsteoLensError: What must be mended before the batch can go on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped stops as on Ctrl-C
    try:
        summary = run(inputs, out, **options)
    except ServerUnreachable as error:
        print(f"error: {error}; the same command goes on", file=sys.stderr)
        return UNREACHABLE
    except KeyboardInterrupt:
        print(f"stopped; what is known is in {out}, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    totals = summary.totals
    failed = totals.refused + totals.failed
    print(
        f"{totals.answered:,} answered, {failed:,} failed; {summary.answers:,} answers in {summary.seconds:.1f} s; "
        f"see {out}/report.html",
        file=sys.stderr,
    )
    return summary.status
