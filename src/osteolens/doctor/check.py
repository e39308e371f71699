"""What was found in one place, and which packages are there."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

State = Literal["ok", "note", "fix"]


@dataclass(frozen=True)
class Check:
    """What was found in one place.

    Attributes:
        name: The place.
        state: `ok`, `note` (works, or is not needed for everything) or `fix`.
        text: What is there.
        remedy: How to put it right, or how to get it; empty where nothing is to be done.
    """

    name: str
    state: State
    text: str
    remedy: str = ""


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
