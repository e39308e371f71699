"""A server that ends, hangs or loses its workers is started again, after pauses that grow and then shrink again."""

import logging

import pytest

from osteolens.errors import ServerError
from osteolens.serving import keeper
from osteolens.serving.keeper import Keeper
from osteolens.serving.torchserve import Server


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Brittle(Server):
    """Ends, starts and answers as it is told to; starts are noted with their times."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ended = self.startable = self.answering = True
        self.starts: list[float] = []
        self.stops = self.renewals = 0

    def wait(self, timeout: float | None = None) -> None:
        if self.ended:
            raise ServerError("TorchServe ended; the logs in x/logs end with:\nline")
        self.clock.sleep(timeout or 0.0)

    def start(self) -> None:
        self.starts.append(self.clock.now)
        if not self.startable:
            raise ServerError("cannot listen on http://127.0.0.1:8080: Address already in use")
        self.ended = False

    def stop(self) -> None:
        self.stops += 1

    def answers(self) -> bool:
        return self.answering

    def renew_keys(self) -> None:
        self.renewals += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeper, "time", clock)
    return clock


def watch(kept: Keeper, clock: Clock, seconds: float) -> None:
    until = clock.now + seconds
    while clock.now < until:
        kept.watch(0.5)


def test_pauses_double_up_to_a_minute_and_begin_again_after_a_steady_one(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server = Brittle(clock)
    server.startable = False
    kept = Keeper(server)
    with caplog.at_level(logging.WARNING):
        watch(kept, clock, 250)
    # 1, 2, 4, 8, 16, 32 and then 60 seconds apart.
    assert [moment - 100 for moment in server.starts] == [1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert server.stops == 1
    assert caplog.messages[0] == "TorchServe ended; the logs in x/logs; it is started again in 1 s"
    assert caplog.messages[1].endswith("Address already in use; it is started again in 2 s")
    server.startable = True
    watch(kept, clock, 120)
    assert caplog.messages[-1] == "TorchServe answers again"
    server.ended, count = True, len(server.starts)
    began = clock.now
    watch(kept, clock, 10)
    assert [moment - began for moment in server.starts[count:]] == [1]


def test_a_server_that_ends_at_once_each_time_is_not_started_without_pause(clock: Clock) -> None:
    server = Brittle(clock)
    kept = Keeper(server)
    for _ in range(4):
        server.ended = True
        watch(kept, clock, 0.1)
        while server.ended:
            kept.watch(0.5)
    assert [b - a for a, b in zip(server.starts, server.starts[1:], strict=False)] == [2, 4, 8]


def test_a_model_that_has_no_worker_for_two_minutes_costs_the_server_a_start(clock: Clock) -> None:
    server = Brittle(clock)
    server.ended = False
    kept = Keeper(server)
    watch(kept, clock, 100)
    server.answering = False
    watch(kept, clock, 95)
    assert server.stops == 0  # it has time to replace the worker itself
    server.answering = True
    watch(kept, clock, 16)
    server.answering = False
    watch(kept, clock, 95)
    assert server.stops == 0
    watch(kept, clock, 40)
    assert (server.stops, len(server.starts)) == (1, 1)
    assert server.renewals > 20
