"""The way of a film through a batch over HTTP: read, sent, its answer drawn and recorded."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from osteolens.batch.answerers.http.send import TRIES, Reply, Sender
from osteolens.batch.films import Film
from osteolens.batch.journal import as_json
from osteolens.batch.outputs import overlays
from osteolens.batch.reading import Content, read
from osteolens.batch.rows import answer_columns, failure_columns
from osteolens.batch.work import Task, Work
from osteolens.client import DamagedAnswer
from osteolens.errors import ModelChanged
from osteolens.schema import Answer

READERS, DRAWERS = 4, 2
HELD_BYTES = 96 * 1024**2
"""Bytes of films in memory at a time; a film that is larger is read alone."""
_TOGETHER = 4
_AHEAD = 8  # films that are being read or drawn while the server is busy with others

_Question = tuple[str, str, str]
"""SHA-256 of the content, model, and the patient's facts as JSON."""


class Budget:
    """Bytes that may be held at a time."""

    def __init__(self, size: int = HELD_BYTES) -> None:
        self._size = size
        self._held = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until so many bytes more may be held, and hold them."""
        if self._held and self._held + size > self._size:
            async with self._freed:
                await self._freed.wait_for(lambda: not self._held or self._held + size <= self._size)
                self._held += size
        else:
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            async with self._freed:
                self._freed.notify_all()


@dataclass
class Pipeline:
    """Films on their way to all models and back.

    Args:
        work: The work of this call.
        sender: To the server.
    """

    work: Work
    sender: Sender
    _under_way: dict[_Question, asyncio.Event] = field(default_factory=dict)

    async def process(self, parts: AsyncIterable[list[Film]], *, at_once: int) -> None:
        """Send all films that have no final row yet; every answer is safe in the journal when this returns.

        Args:
            parts: The films, some at a time.
            at_once: Films that wait for the server at a time.

        Raises:
            ServerUnreachable: The server has not answered for too long.
            BatchError: See `osteolens.errors`.
        """
        budget, queue = Budget(), asyncio.Queue[list[Task] | None](maxsize=2 * at_once)
        workers = at_once + _AHEAD
        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(DRAWERS) as drawers:

            async def work() -> None:
                while (tasks := await queue.get()) is not None:
                    films = [task.film for task in tasks]
                    async with budget.hold(sum(film.size for film in films)):
                        contents = await asyncio.get_running_loop().run_in_executor(
                            readers, lambda films: list(map(read, films)), films
                        )
                        for content, task in zip(contents, tasks, strict=True):
                            await self._finish(content, task, drawers)

            async def feed() -> None:
                async for part in parts:
                    # Small films go to a reading thread and back some at a time: that costs as much as a film alone.
                    together = max(1, min(_TOGETHER, len(part) // workers))
                    todo = (task for film in part if (task := self.work.task(film)))
                    while tasks := list(islice(todo, together)):
                        await queue.put(tasks)
                for _ in range(workers):
                    await queue.put(None)

            async with asyncio.TaskGroup() as group:
                group.create_task(feed())
                for _ in range(workers):
                    group.create_task(work())

    async def _finish(self, content: Content, task: Task, drawers: ThreadPoolExecutor) -> None:
        models = self.work.unanswered(content, task)
        if len(models) == 1:  # a task group for one would cost a task more
            await self._answer(content, models[0], drawers)
        else:
            async with asyncio.TaskGroup() as group:
                for model in models:
                    group.create_task(self._answer(content, model, drawers))
        self.work.finish(task)

    async def _answer(self, content: Content, model: str, drawers: ThreadPoolExecutor) -> None:
        film, sha256 = content.film, content.sha256 or ""
        async with self._once((sha256, model, as_json(film.facts))):
            copy = self.work.journal.copy_of(film, sha256, model)
            if copy:
                self.work.record(content, model, *copy)
                return
            reply = await self._current_reply(content, model)
            if reply.answer is None:
                row = failure_columns(reply.status, reply.code, reply.message) | {"attempts": reply.attempts}
                self.work.record(content, model, row)
                return
            row, shares, fused_shares = answer_columns(reply.answer)
            row |= {"attempts": reply.attempts, "latency_ms": reply.latency_ms}
            try:
                row["overlay"] = await self._drawn(content, model, reply.answer, drawers)
            except DamagedAnswer as error:
                row = failure_columns("failed", "damaged_answer", str(error)) | {"attempts": reply.attempts}
                shares, fused_shares = {}, {}
            self.work.record(content, model, row, shares, fused_shares)

    async def _current_reply(self, content: Content, model: str) -> Reply:
        """A reply from the version of the model that all other rows are from.

        Raises:
            ModelChanged: There is none any more.
        """
        options = {**content.film.facts, **self.work.options}
        for _ in range(TRIES):
            reply = await self.sender.ask(content.data, model, options)
            if reply.answer is None:
                return reply
            served = reply.answer.model
            if self.work.is_current(model, served.version, served.card_sha256):
                return reply
        raise ModelChanged(f"the server answers as {model} with two versions in turn; serve one of them")

    async def _drawn(self, content: Content, model: str, answer: Answer, drawers: ThreadPoolExecutor) -> str | None:
        look = self.work.look
        if look is None or not answer.explanations or content.sha256 is None:
            return None
        name = overlays.overlay_name(content.film.file, content.sha256, model)
        run = asyncio.get_running_loop().run_in_executor
        jpeg = await run(drawers, overlays.drawn, content.data, answer, look)
        if jpeg is None:
            return None
        await run(drawers, overlays.write_overlay, self.work.journal.folder / name, jpeg)
        return name

    @asynccontextmanager
    async def _once(self, question: _Question) -> AsyncIterator[None]:
        """Let one film at a time through with the same question: the others then find its answer in the journal."""
        while question in self._under_way:
            await self._under_way[question].wait()
        self._under_way[question] = asyncio.Event()
        try:
            yield
        finally:
            self._under_way.pop(question).set()
