"""Progress of a batch: a bar, only messages that matter, or a line of JSON for each event."""

import json
import sys
import time
from collections import deque
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from osteolens.batch.rows import now

Style = Literal["bar", "quiet", "json"]
_EVERY = 5.0
_RATE_SECONDS = 30.0


class Reporter:
    """Counts films (times models), and shows the count in one of three ways.

    Args:
        style: `bar` and `quiet` write to standard error, `json` writes JSON lines to standard output.
        stream: Instead of those, for tests.

    Attributes:
        total: Films times models, as soon as it is known; set from another thread.
        done: Those that have a row.
        answered: Answers that came in this call.
        errors: Rows without an answer that were written or found in this call.
    """

    def __init__(self, style: Style, stream: TextIO | None = None) -> None:
        self.style = style
        self.total: int | None = None
        self.done = self.answered = self.errors = 0
        self._stream = stream or (sys.stdout if style == "json" else sys.stderr)
        self._console = Console(file=self._stream, soft_wrap=True, highlight=False)
        self._moments: deque[tuple[float, int]] = deque()
        self._shown = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"),
            console=self._console, refresh_per_second=2, disable=style != "bar" or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("answering", total=None, text="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show()
        self._bar.stop()

    def passed(self, films: int = 1, *, answered: bool = False, error: bool = False) -> None:
        """Count films that have their row now; show the progress twice a second, or every five seconds."""
        self.done += films
        self.answered += answered
        self.errors += error
        if time.monotonic() - self._shown >= (_EVERY if self.style == "json" else 0.5):
            self._show()

    def failed(self, file: str, model: str, code: str, message: str) -> None:
        """Report a film without an answer."""
        if self.style == "json":
            self.event("failed", file=file, model=model, code=code, message=message)

    def tell(self, message: str) -> None:
        """Show a message at once."""
        if self.style == "json":
            self.event("note", message=message)
        else:
            self._console.print(message, markup=False)

    def event(self, event: str, **facts: Any) -> None:
        """Write a line of JSON, in that style."""
        if self.style == "json":
            print(json.dumps({"time": now(), "event": event, **facts}), file=self._stream, flush=True)

    def films_per_second(self) -> float:
        """Answers a second over the last half minute."""
        if len(self._moments) < 2:
            return 0.0
        (start, before), (end, after) = self._moments[0], self._moments[-1]
        return (after - before) / max(end - start, 1e-9)

    def _show(self) -> None:
        self._shown = time.monotonic()
        self._moments.append((self._shown, self.answered))
        while self._shown - self._moments[0][0] > _RATE_SECONDS:
            self._moments.popleft()
        rate = self.films_per_second()
        left = max(0, self.total - self.done) / rate if self.total is not None and rate else None
        facts = {"done": self.done, "total": self.total, "errors": self.errors, "films_per_second": round(rate, 1)}
        self.event("progress", **facts, seconds_left=None if left is None else round(left))
        of = "" if self.total is None else f" of {self.total:,}"
        time_left = "" if left is None else f", {_clock(left)} left"
        text = f"{self.done:,}{of}, {rate:.1f} films/s{time_left}, {self.errors:,} errors"
        self._bar.update(self._task, completed=self.done, total=self.total, text=text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
