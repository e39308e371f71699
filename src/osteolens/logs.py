"""Log lines as text, or as JSON where OSTEOLENS_LOG_FORMAT says so: what collectors of logs read."""

import json
import logging
import os
from datetime import UTC, datetime

from osteolens.errors import OsteoLensError

VARIABLE = "OSTEOLENS_LOG_FORMAT"
TEXT, JSON = "text", "json"
FIELDS = ("request_id", "account", "method", "route", "status", "ms")
"""Facts that a line may have beside its message."""


def is_json() -> bool:
    """Whether lines are JSON.

    Raises:
        OsteoLensError: The variable is malformed.
    """
    chosen = os.environ.get(VARIABLE) or TEXT
    if chosen not in (TEXT, JSON):
        raise OsteoLensError(f"{VARIABLE} is {chosen!r}: {TEXT} or {JSON}, for example {VARIABLE}={JSON}")
    return chosen == JSON


class JsonLines(logging.Formatter):
    """A JSON object for each event, on one line: time (UTC), level, logger, process, message, and `FIELDS`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of an event, with its traceback where it has one."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def to_stderr(text_format: str) -> None:
    """Write warnings and worse of this process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if is_json() else logging.Formatter(text_format))
    logging.basicConfig(handlers=[handler])
