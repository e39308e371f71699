"""What `osteolens batch` says at its end, whichever engine answers."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from osteolens.batch.job import Summary
from osteolens.console import Status
from osteolens.errors import ServerUnreachable


def run_command(run: Callable[[], Summary], out: Path) -> int:
    """Run a batch, say on standard error what came of it, and give the exit status.

    Args:
        run: Runs the batch.
        out: Its output folder.

    Raises:
        OsteoLensError: What must be fixed before the batch can go on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service that is stopped stops as on Ctrl-C
    try:
        summary = run()
    except ServerUnreachable as error:
        print(f"error: {error}; the same command goes on", file=sys.stderr)
        return Status.UNREACHABLE
    except KeyboardInterrupt:
        print(f"stopped; what is known is in {out}, and the same command goes on", file=sys.stderr)
        return Status.INTERRUPTED
    totals = summary.totals
    failed = totals.refused + totals.failed
    print(
        f"{totals.answered:,} answered, {failed:,} failed; {summary.answers:,} answers in {summary.seconds:.1f} s; "
        f"see {out}/report.html",
        file=sys.stderr,
    )
    return summary.status
