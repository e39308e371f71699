"""What the command line and the scripts share."""

import functools
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from osteolens.errors import OsteoLensError

ALL_ANSWERED, LEAKS, USAGE_STATUS, SOME_FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit statuses of every command: all done, a split leaks, wrong usage, some films failed, no server, ended by
Ctrl-C."""
DONE = ALL_ANSWERED

WEIGHTS = Path("weights")
"""Folder of the models that come with the repository, relative to where a command is run."""

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Let a command end with one line on standard error and status 2 where it would show a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may not be valid text, nor fit the terminal's
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            command(*args, **kwargs)
        except (OsteoLensError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(USAGE_STATUS)

    return guarded


def model_folder(model: str) -> Path:
    """Folder of a model that was named on the command line: a name in `weights/`, else a path."""
    return WEIGHTS / model if "/" not in model and (WEIGHTS / model).is_dir() else Path(model)
