"""What a batch says of its progress: counted, timed and spelt out."""

import io
import json
from types import SimpleNamespace

import pytest

from osteolens.batch import progress
from osteolens.batch.progress import Reporter, Style


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(style: Style, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two answers a second for ten seconds, four of them errors, of a hundred films."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with Reporter(style, stream) as reporter:
        reporter.total = 100
        for number in range(21):
            clock.now = 100.0 + number / 2
            reporter.passed(answered=True, error=number % 5 == 0 and number > 0)
        reporter.tell("the server [busy] waits")
        reporter.failed("a.png", "knee", "too_large", "the file is")
    return stream.getvalue()


def test_a_bar_shows_rate_time_left_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown("bar", Terminal(), monkeypatch)
    assert "21 of 100, 2.0 films/s, 0:00:40 left, 4 errors" in text
    assert "the server [busy] waits" in text


@pytest.mark.parametrize("style", ["bar", "quiet"])
def test_a_file_gets_no_bar(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(style, io.StringIO(), monkeypatch) == "the server [busy] waits\n"


def test_lines_of_json_say_the_same_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [json.loads(line) for line in shown("json", io.StringIO(), monkeypatch).splitlines()]
    assert [event["event"] for event in events] == ["progress", "progress", "note", "failed", "progress"]
    last = events[-1]
    assert (last["done"], last["total"], last["errors"]) == (21, 100, 4)
    assert last["films_per_second"] == pytest.approx(2.0, abs=0.05)
    assert last["seconds_left"] == pytest.approx(40, abs=1)


def test_nothing_is_promised_before_there_is_a_rate() -> None:
    stream = Terminal()
    with Reporter("bar", stream) as reporter:
        reporter.passed(5)
    assert "5, 0.0 films/s, 0 errors" in stream.getvalue()
