"""What the commands share: their exit statuses, errors in one line, hints at packages, the usual folders."""

import functools
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from osteolens import places
from osteolens.errors import OsteoLensError, in_words

if TYPE_CHECKING:
    from rich.console import Console


class Status(IntEnum):
    """Exit status of a command, the same for all of them; `meaning` is its line in the help and in the docs."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> "Status":
        """Make a number that carries its meaning."""
        status = int.__new__(cls, number)
        status._value_ = number
        status.meaning = meaning
        return status

    DONE = 0, "done"
    # 1 is Python's own for a traceback: a command never chooses it, so that no finding is taken for a crash.
    CRASHED = 1, "a fault of OsteoLens itself, with a traceback"
    USAGE = 2, "wrong usage, or something to fix first; the message says what"
    SOME_FAILED = 3, "done, but some films failed"
    UNREACHABLE = 4, "no server at the address"
    FINDINGS = 5, "a check found something: `audit` and `study` a leak, `doctor` what must be fixed"
    INTERRUPTED = 130, "stopped by Ctrl-C"


WEIGHTS, EXPORTS, MODEL_STORE = places.root() / "weights", places.home() / "build", places.home() / "model_store"
"""Folders of the models that come with OsteoLens, of what is exported from them (a folder each, by the name in the
card) and of archives."""

P = ParamSpec("P")


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Let a command end with one line on standard error and a status where it would show a traceback."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may not be valid text, nor fit the terminal's
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            raise  # `| head` has read enough: typer ends quietly
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            sys.exit(Status.INTERRUPTED)
        except (OsteoLensError, OSError) as error:
            place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            print(f"error: {place}{in_words(error)}", file=sys.stderr)
            sys.exit(Status.USAGE)

    return guarded


@contextmanager
def packages_of(extra: str, purpose: str) -> Iterator[None]:
    """Imports in the block need an extra of the installation; without it the error says how to get it.

    Args:
        extra: Name in `pyproject.toml`, such as `train`.
        purpose: What needs it, as the beginning of a sentence, such as `the audit`.

    Raises:
        OsteoLensError: A package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "osteolens":
            raise  # a fault of ours, which no installation puts right
        raise OsteoLensError(f"{purpose} needs {error.name}: pip install 'osteolens[{extra}]'") from error


def model_folder(model: str | Path) -> Path:
    """Folder of a model that was named on the command line: a name in `weights/`, else a path."""
    # A name has no slash: ./efficientnet is always the folder here, whatever weights/ holds.
    folder = WEIGHTS / model
    return folder if "/" not in str(model) and folder.is_dir() else Path(model)


def print_sentence(console: "Console | None", sentence: str) -> None:
    """Print a sentence in which brackets are brackets, not Rich's markup; without a console nothing happens."""
    if console:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
