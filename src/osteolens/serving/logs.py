"""What a server has written to its logs since it was started."""

import re
from html import escape
from pathlib import Path

from osteolens.errors import ServerError
from osteolens.files import write_text
from osteolens.logs import is_json

NAMES = ("console.log", "ts_log.log", "model_log.log")
WORKER_DIED = "Backend worker process died"
_LINES = 15
_ERROR = re.compile(r"(?:^|-std(?:out|err) - )((?:\w+\.)*\w*(?:Error|Exception): .*)", re.MULTILINE)


class Log:
    """What has been appended to a file since now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path.stat().st_size if path.exists() else 0

    def text(self) -> str:
        """What was appended; empty while there is no file."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return stream.read().decode(errors="replace")


def cause_of(log: str) -> str:
    """The last line of a worker's traceback after a colon: that of our own error, else of the first."""
    errors = _ERROR.findall(log)
    ours = [error.removeprefix("osteolens.errors.") for error in errors if error.startswith("osteolens.errors.")]
    return f": {ours[-1] if ours else errors[0]}" if errors else ""


def copy_log_config(source: Path, folder: Path) -> Path:
    """Copy TorchServe's settings of its logs; each line of these is a JSON object where `osteolens.logs` says so."""
    text = source.read_text(encoding="utf-8")
    if is_json():
        text = re.sub(r'<PatternLayout pattern="(.*?)"/>', _as_json, text)
    target = folder / source.name
    write_text(target, text)
    return target


def _as_json(layout: re.Match[str]) -> str:
    # What a request asked for stands behind the question mark: it is left out here as it is in the text.
    message = r"%replace{%m}{\?[^ ]*}{}" if "%replace" in layout[1] else "%m"
    fields = {
        "level": "%p",
        "logger": "%enc{%c{1}}{JSON}",
        "thread": "%enc{%t}{JSON}",
        "message": f"%enc{{{message}}}{{JSON}}",
    }
    time = "%d{yyyy-MM-dd'T'HH:mm:ss.SSS}{UTC}+00:00"
    line = "{" + ",".join(f'"{name}":"{value}"' for name, value in ({"time": time} | fields).items())
    line += ',"traceback":"%enc{%ex}{JSON}"}%n'
    return f'<PatternLayout alwaysWriteExceptions="false" pattern="{escape(line, quote=True)}"/>'


def failure(what: str, folder: Path | None, logs: list[Log]) -> ServerError:
    """The error of a server that failed, with its cause where the logs hold one, and with their last lines."""
    cause = cause_of("".join(log.text() for log in logs))
    lines = [line for log in logs for line in log.text().splitlines()[-_LINES:]]
    return ServerError("\n".join([f"{what}{cause}; the logs in {folder}/logs end with:", *lines]))
