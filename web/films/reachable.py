"""Whether the server that reads films is there: a file in the data folder, at which every process and page can look."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


def _mark() -> Path:
    """There while the server is away; its time is when that began."""
    path: Path = settings.DATA_FOLDER / "reading_away"
    return path


def away_since() -> datetime | None:
    """Time since which the server has been away; None while it is there."""
    try:
        return datetime.fromtimestamp(_mark().stat().st_mtime, UTC)
    except OSError:
        return None


def note_away(reason: str) -> None:
    """Remember that the server is away; the first of several times counts."""
    try:
        _mark().touch(0o600, exist_ok=False)
    except FileExistsError:
        return
    except OSError as error:  # a full disk must not keep anybody from asking
        logger.warning("that reading is away cannot be written down: %s", error.strerror)
    logger.warning("reading is away: %s; films are kept and read later", reason)


def note_back() -> bool:
    """Remember that the server is there; whether it was away."""
    try:
        _mark().unlink()
    except OSError:
        return False
    logger.warning("reading is back")
    return True
