import asyncio

from osteolens.batch.answerers.http.limiter import FIRST_LIMIT, Limiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answers(limiter: Limiter, latency: float, windows: int) -> None:
    """Whole windows of answers while somebody waits for a place."""
    for _ in range(windows):
        for _ in range(max(int(limiter.limit), FIRST_LIMIT)):
            limiter.answered(latency)


async def crowded(clock: Clock, maximum: int = 32) -> tuple[Limiter, list[asyncio.Task[None]], asyncio.Event]:
    """A limiter with more callers than places."""
    limiter, go = Limiter(maximum, clock), asyncio.Event()

    async def call() -> None:
        async with limiter:
            await go.wait()

    calls = [asyncio.create_task(call()) for _ in range(maximum + 1)]
    await asyncio.sleep(0)
    return limiter, calls, go


def test_it_grows_by_one_per_window_while_latency_stays_near_its_best() -> None:
    async def check() -> None:
        limiter, calls, go = await crowded(Clock())
        assert (limiter.limit, limiter.in_flight) == (4, 4)
        answers(limiter, 0.1, 1)
        assert (limiter.limit, limiter.in_flight) == (5, 5)
        answers(limiter, 0.25, 3)  # two and a half times the best
        assert limiter.limit == 8
        answers(limiter, 0.35, 5)  # more than three times
        assert limiter.limit == 8
        go.set()
        await asyncio.gather(*calls)
        assert limiter.in_flight == 0

    asyncio.run(check())


def test_it_never_grows_beyond_its_maximum_nor_without_need() -> None:
    async def check() -> None:
        limiter, calls, go = await crowded(Clock(), maximum=6)
        answers(limiter, 0.1, 20)
        assert limiter.limit == 6
        go.set()
        await asyncio.gather(*calls)

    asyncio.run(check())
    idle = Limiter(32, Clock())
    answers(idle, 0.1, 20)
    assert idle.limit == FIRST_LIMIT


def test_it_shrinks_once_for_all_requests_that_were_sent_before() -> None:
    clock = Clock()
    limiter = Limiter(32, clock)
    limiter.limit = 10.0
    clock.now = 5.0
    for _ in range(4):
        limiter.shrink(sent=4.0)
    assert limiter.limit == 7.0
    clock.now = 6.0
    limiter.shrink(sent=5.5)
    assert limiter.limit == 7.0 * 0.7
    for sent in range(10, 40):
        clock.now = sent
        limiter.shrink(sent=sent)
    assert limiter.limit == 1.0


def test_trouble_counts_from_the_first_failure_after_the_latest_answer() -> None:
    clock = Clock()
    limiter = Limiter(32, clock)
    clock.now = 10.0
    assert limiter.failed() == 0.0
    clock.now = 17.0
    assert limiter.failed() == 7.0
    limiter.responded()
    clock.now = 20.0
    assert limiter.failed() == 0.0


def test_a_pause_keeps_everybody_out() -> None:
    async def check() -> float:
        loop = asyncio.get_running_loop()
        limiter = Limiter(4, loop.time)
        limiter.shrink(sent=0.0, pause=0.2)
        start = loop.time()
        async with limiter:
            return loop.time() - start

    assert 0.19 < asyncio.run(check()) < 0.6


def test_a_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    async def check() -> None:
        limiter, calls, go = await crowded(Clock())
        for call in calls[:20]:
            call.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert limiter.in_flight == 4
        go.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert limiter.in_flight == 0

    asyncio.run(check())
