"""The middle of a batch: every film that needs an answer is read, asked about and written down."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from osteolens.batch import reading
from osteolens.batch.answerers.http.send import TRIES, Reply, Sender
from osteolens.batch.films import Film, Problem, problem_of_facts
from osteolens.batch.journal import Journal, Known, as_json
from osteolens.batch.outputs import overlays
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.progress import Reporter
from osteolens.batch.reading import Budget, Content
from osteolens.batch.rows import Row, Status, answer_columns, failure_columns
from osteolens.client import DamagedAnswer
from osteolens.errors import BatchError, ModelChanged
from osteolens.schema import Answer

READERS, DRAWERS = 4, 2
_TOGETHER = 4
_AHEAD = 8  # films that are being read or drawn while the server is busy with others

_Turn = tuple[str, str, str]


@dataclass(frozen=True)
class _Task:
    """A film, and the models that must be asked, with what the journal says of each."""

    film: Film
    known: Mapping[str, Known | None]


@dataclass
class Asking:
    """Asks all models about films.

    Args:
        journal: Of the batch.
        sender: To the server.
        models: The names to ask.
        server: The address, for the rows.
        explain: The explanation to ask for.
        look: Of the overlays; None for none.
        accept_new_model: Whether a model may change once in this call.
        reporter: Is told of everything.
    """

    journal: Journal
    sender: Sender
    models: tuple[str, ...]
    server: str
    explain: str
    look: Look | None
    accept_new_model: bool
    reporter: Reporter
    _replaced: dict[str, str] = field(default_factory=dict)
    _under_way: dict[tuple[bytes, str], Mapping[str, str]] = field(default_factory=dict)
    _turns: dict[_Turn, asyncio.Event] = field(default_factory=dict)

    async def ask_about(self, parts: AsyncIterable[list[Film]], *, at_once: int) -> None:
        """Ask about all films that have no final row yet; every answer is safe in the journal when this returns.

        Args:
            parts: The films, some at a time.
            at_once: Films that wait for the server at a time.

        Raises:
            ServerUnreachable: The server has not answered for too long.
            BatchError: See `osteolens.errors`.
        """
        budget, queue = Budget(), asyncio.Queue[list[_Task] | None](maxsize=2 * at_once)
        workers = at_once + _AHEAD
        with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(DRAWERS) as drawers:

            async def work() -> None:
                while (tasks := await queue.get()) is not None:
                    films = [task.film for task in tasks]
                    async with budget.hold(sum(film.size for film in films)):
                        contents = await asyncio.get_running_loop().run_in_executor(readers, reading.read_all, films)
                        for content, task in zip(contents, tasks, strict=True):
                            await self._handle(content, task.known, drawers)
                            del self._under_way[task.film.key]

            async def feed() -> None:
                async for part in parts:
                    # Small films go to a reading thread and back some at a time: that costs as much as a film alone.
                    together = max(1, min(_TOGETHER, len(part) // workers))
                    found = (task for film in part if (task := self._task(film)))
                    while tasks := list(islice(found, together)):
                        await queue.put(tasks)
                for _ in range(workers):
                    await queue.put(None)

            async with asyncio.TaskGroup() as group:
                group.create_task(feed())
                for _ in range(workers):
                    group.create_task(work())

    def _task(self, film: Film) -> _Task | None:
        """What is to be done about a film, which is under way from now on; None if nothing is."""
        if film.key in self._under_way:
            _check_same(film, same=self._under_way[film.key] == film.facts)
            return None
        known = {model: self.journal.known(film, model) for model in self.models}
        todo = {model: row for model, row in known.items() if row is None or not self._stands(film, model, row)}
        self.reporter.passed(len(known) - len(todo))
        if not todo:
            return None
        self._under_way[film.key] = film.facts
        return _Task(film, todo)

    def _stands(self, film: Film, model: str, known: Known) -> bool:
        """Whether a row of an earlier call, or of this one, still stands without a look into the file."""
        if known.same_call and not known.pending:
            _check_same(film, same=known.same_facts)
            return True
        # A file that cannot be read now (a disk that is not there) takes nothing back that was answered.
        if not known.final or not known.same_facts or not (known.same_file or film.problem):
            return False
        if not film.problem and (film.facts or known.carried != as_json(film.carried)):
            self.journal.note(film, model)
        return True

    async def _handle(self, content: Content, todo: Mapping[str, Known | None], drawers: ThreadPoolExecutor) -> None:
        film = content.film
        problem = film.problem or problem_of_facts(film.facts)
        models = []
        for model, known in todo.items():
            stands = known and known.final and known.same_facts
            if known and stands and (film.problem or known.sha256 == content.sha256):
                self.reporter.passed()
                if not film.problem:
                    self.journal.note(film, model)
            elif problem:
                self._fail(content, model, problem)
            else:
                models.append(model)
        if len(models) == 1:
            await self._ask(content, models[0], drawers)
        else:
            async with asyncio.TaskGroup() as group:
                for model in models:
                    group.create_task(self._ask(content, model, drawers))

    def _fail(self, content: Content, model: str, problem: Problem) -> None:
        # A wrong fact is refused for good, as the server would; a file may be readable the next time.
        status: Status = "failed" if content.film.problem else "refused"
        row = failure_columns(status, problem.code, problem.message) | {"attempts": 0}
        self._record(content, model, row, {}, {})

    async def _ask(self, content: Content, model: str, drawers: ThreadPoolExecutor) -> None:
        film, sha256 = content.film, content.sha256 or ""
        async with self._turn(sha256, model, as_json(film.facts)):
            copy = self.journal.copy_of(film, sha256, model)
            if copy:
                self._record(content, model, *copy)
                return
            reply = await self._current_reply(content, model)
            if reply.answer is None:
                row = failure_columns(reply.status, reply.code, reply.message) | {"attempts": reply.attempts}
                self._record(content, model, row, {}, {})
                return
            row, shares, fused_shares = answer_columns(reply.answer)
            row |= {"attempts": reply.attempts, "latency_ms": reply.latency_ms}
            try:
                row["overlay"] = await self._drawn(content, model, reply.answer, drawers)
            except DamagedAnswer as error:
                row = failure_columns("failed", "damaged_answer", str(error)) | {"attempts": reply.attempts}
                shares, fused_shares = {}, {}
            self._record(content, model, row, shares, fused_shares)

    async def _current_reply(self, content: Content, model: str) -> Reply:
        """A reply from the version of the model that all other rows are from.

        Raises:
            ModelChanged: There is none any more.
        """
        options = {**content.film.facts, "explain": self.explain}
        for _ in range(TRIES):
            reply = await self.sender.ask(content.data, model, options)
            if reply.answer is None or self._is_current(model, reply.answer):
                return reply
        raise ModelChanged(f"the server answers as {model} with two versions in turn; serve one of them")

    def _is_current(self, model: str, answer: Answer) -> bool:
        """Compare an answer's card with the model's; False for a late answer of the version that was replaced."""
        version, card = answer.model.version, answer.model.card_sha256
        before = self.journal.cards.get(model)
        if before is None:
            self.journal.set_card(model, version, card)
        elif card == self._replaced.get(model):
            return False
        elif card != before[1]:
            if not self.accept_new_model or model in self._replaced:
                raise ModelChanged(
                    f"the server now answers as {model} with version {version} (card {card[:12]}), but earlier rows "
                    f"are from version {before[0]} (card {before[1][:12]}): --accept-new-model asks about those films "
                    "again, --fresh starts anew, or serve the earlier version and give the same command"
                )
            self._replaced[model] = before[1]
            outdated = self.journal.set_card(model, version, card)
            self.reporter.tell(f"{model} has changed: {outdated:,} films will be asked about again")
        return True

    async def _drawn(self, content: Content, model: str, answer: Answer, drawers: ThreadPoolExecutor) -> str | None:
        if self.look is None or not answer.explanations or content.sha256 is None:
            return None
        name = overlays.overlay_name(content.film.file, content.sha256, model)
        target = self.journal.folder / name
        drawn = await asyncio.get_running_loop().run_in_executor(
            drawers, overlays.draw, content.data, answer, target, self.look
        )
        return name if drawn else None

    def _record(
        self, content: Content, model: str, row: Row, shares: Mapping[str, float], fused_shares: Mapping[str, float]
    ) -> None:
        row = row | {"sha256": content.sha256, "server": self.server}
        self.journal.record(content.film, model, row, shares, fused_shares)
        code = row.get("error_code")
        self.reporter.passed(answered=row["status"] == "answered", error=bool(code))
        if code:
            self.reporter.failed(content.film.file, model, str(code), str(row["error_message"]))

    @asynccontextmanager
    async def _turn(self, *what: str) -> AsyncIterator[None]:
        """Let the same content be asked about once, however many names it has."""
        sha256, model, facts = what
        turn = (sha256, model, facts)
        while turn in self._turns:
            await self._turns[turn].wait()
        self._turns[turn] = asyncio.Event()
        try:
            yield
        finally:
            self._turns.pop(turn).set()


def _check_same(film: Film, *, same: bool) -> None:
    if not same:
        raise BatchError(
            f"{film.file!r} is named twice with different facts about the patient; give such rows of a table different "
            "values in a column `id`"
        )
