import asyncio

from osteolens.batch.answerers.http.gate import FIRST_LIMIT, Gate


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answers(gate: Gate, latency: float, windows: int) -> None:
    """Whole windows of answers while somebody waits for a place."""
    for _ in range(windows):
        for _ in range(max(int(gate.limit), FIRST_LIMIT)):
            gate.answered(latency)


async def crowded(clock: Clock, ceiling: int = 32) -> tuple[Gate, list[asyncio.Task[None]], asyncio.Event]:
    """A gate with more callers than places."""
    gate, go = Gate(ceiling, clock), asyncio.Event()

    async def call() -> None:
        async with gate:
            await go.wait()

    calls = [asyncio.create_task(call()) for _ in range(ceiling + 1)]
    await asyncio.sleep(0)
    return gate, calls, go


def test_it_grows_by_one_per_window_while_latency_stays_near_its_best() -> None:
    async def check() -> None:
        gate, calls, go = await crowded(Clock())
        assert (gate.limit, gate.in_flight) == (4, 4)
        answers(gate, 0.1, 1)
        assert (gate.limit, gate.in_flight) == (5, 5)
        answers(gate, 0.25, 3)  # two and a half times the best
        assert gate.limit == 8
        answers(gate, 0.35, 5)  # more than three times
        assert gate.limit == 8
        go.set()
        await asyncio.gather(*calls)
        assert gate.in_flight == 0

    asyncio.run(check())


def test_it_never_grows_beyond_its_ceiling_nor_without_need() -> None:
    async def check() -> None:
        gate, calls, go = await crowded(Clock(), ceiling=6)
        answers(gate, 0.1, 20)
        assert gate.limit == 6
        go.set()
        await asyncio.gather(*calls)

    asyncio.run(check())
    idle = Gate(32, Clock())
    answers(idle, 0.1, 20)
    assert idle.limit == FIRST_LIMIT


def test_it_shrinks_once_for_all_requests_that_were_sent_before() -> None:
    clock = Clock()
    gate = Gate(32, clock)
    gate.limit = 10.0
    clock.now = 5.0
    for _ in range(4):
        gate.shrink(sent=4.0)
    assert gate.limit == 7.0
    clock.now = 6.0
    gate.shrink(sent=5.5)
    assert gate.limit == 7.0 * 0.7
    for sent in range(10, 40):
        clock.now = sent
        gate.shrink(sent=sent)
    assert gate.limit == 1.0


def test_trouble_counts_from_the_first_failure_after_the_latest_answer() -> None:
    clock = Clock()
    gate = Gate(32, clock)
    clock.now = 10.0
    assert gate.failed() == 0.0
    clock.now = 17.0
    assert gate.failed() == 7.0
    gate.heard()
    clock.now = 20.0
    assert gate.failed() == 0.0


def test_a_pause_keeps_everybody_out() -> None:
    async def check() -> float:
        loop = asyncio.get_running_loop()
        gate = Gate(4, loop.time)
        gate.shrink(sent=0.0, pause=0.2)
        start = loop.time()
        async with gate:
            return loop.time() - start

    assert 0.19 < asyncio.run(check()) < 0.6


def test_a_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    async def check() -> None:
        gate, calls, go = await crowded(Clock())
        for call in calls[:20]:
            call.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gate.in_flight == 4
        go.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert gate.in_flight == 0

    asyncio.run(check())
