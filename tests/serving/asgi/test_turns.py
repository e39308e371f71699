"""One request is computed at a time, in the order that is due."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from osteolens.serving.asgi.turns import QueueFull, Stuck, Turns


def with_a_busy_thread(then: Callable[[Turns, list[str]], Awaitable[None]], room: int = 10) -> list[str]:
    """The order in which requests were computed that came while the thread had one."""
    order: list[str] = []

    async def run() -> None:
        turns, gate = Turns(["a", "b"], room), threading.Event()
        busy = asyncio.create_task(turns.run("a", lambda: gate.wait(5), 10))
        await asyncio.sleep(0)
        task = asyncio.ensure_future(then(turns, order))
        for _ in range(5):
            await asyncio.sleep(0)
        gate.set()
        await task
        await busy

    asyncio.run(run())
    return order


def test_the_lines_of_two_models_take_turns() -> None:
    async def come(turns: Turns, order: list[str]) -> None:
        names = ["a1", "a2", "a3", "b1", "b2"]
        await asyncio.gather(*(turns.run(name[0], lambda name=name: order.append(name), 10) for name in names))

    assert with_a_busy_thread(come) == ["a1", "b1", "a2", "b2", "a3"]


def test_who_finds_no_room_is_refused_and_the_others_are_answered() -> None:
    async def come(turns: Turns, order: list[str]) -> None:
        waiting = [asyncio.create_task(turns.run("a", lambda: order.append("a"), 10)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 requests wait for a"):
            await turns.run("a", lambda: None, 10)
        other = asyncio.create_task(turns.run("b", lambda: order.append("b"), 10))  # another line has room
        await asyncio.gather(*waiting, other)

    assert sorted(with_a_busy_thread(come, room=2)) == ["a", "a", "b"]


def test_one_who_gives_up_waiting_costs_nobody_a_turn() -> None:
    async def come(turns: Turns, order: list[str]) -> None:
        leaving = asyncio.create_task(turns.run("a", lambda: order.append("left"), 10))
        staying = asyncio.create_task(turns.run("a", lambda: order.append("stayed"), 10))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying

    assert with_a_busy_thread(come) == ["stayed"]


def test_a_request_that_takes_too_long_is_given_up() -> None:
    gate = threading.Event()

    async def run() -> None:
        with pytest.raises(Stuck, match="no answer"):
            await Turns(["a"], 1).run("a", lambda: gate.wait(5), 0.01)
        gate.set()

    asyncio.run(run())


def test_the_result_comes_with_the_seconds_of_waiting() -> None:
    result, waited = asyncio.run(Turns(["a"], 1).run("a", lambda: 7, 10))
    assert result == 7
    assert 0 <= waited < 1
