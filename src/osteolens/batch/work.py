"""Decides what is still to do about a film, and records the outcome: the same rules whoever answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from osteolens.batch.films import Film, problem_of_facts
from osteolens.batch.journal import Journal, Known, as_json
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.progress import Reporter
from osteolens.batch.reading import Content
from osteolens.batch.rows import Row, Status, failure_columns
from osteolens.errors import BatchError, ModelChanged


@dataclass(frozen=True)
class Task:
    """A film, and the models that may have to answer it, with the journal's entry for each."""

    film: Film
    known: Mapping[str, Known | None]

    def answered_sha256(self, model: str) -> str | None:
        """SHA-256 of the content that a model's answer holds for; None if the model must answer in any case."""
        known = self.known[model]
        return known.sha256 if known and known.final and known.same_facts else None


@dataclass
class Work:
    """What all answerers share in one call.

    Args:
        journal: The batch's journal.
        models: Names of the models, each of which answers each film.
        server: Address that answers, for the rows; `ray` for a cluster.
        options: What is requested beside the facts about each patient: option texts by name.
        look: Colours of the overlays; None for none.
        accept_new_model: Whether a model may change once in this call.
        reporter: Shows the progress.
    """

    journal: Journal
    models: tuple[str, ...]
    server: str
    options: Mapping[str, str]
    look: Look | None
    accept_new_model: bool
    reporter: Reporter
    _replaced: dict[str, str] = field(default_factory=dict)
    _under_way: dict[tuple[bytes, str], Mapping[str, str]] = field(default_factory=dict)

    def task(self, film: Film) -> Task | None:
        """The task that is left for a film, which is under way until `finish`; None if nothing is.

        Raises:
            BatchError: The film is named twice with different facts about the patient.
        """
        if film.key in self._under_way:
            _check_same(film, same=self._under_way[film.key] == film.facts)
            return None
        known = {model: self.journal.known(film, model) for model in self.models}
        todo = {model: row for model, row in known.items() if row is None or not self._stands(film, model, row)}
        self.reporter.passed(len(known) - len(todo))
        if not todo:
            return None
        self._under_way[film.key] = film.facts
        return Task(film, todo)

    def finish(self, task: Task) -> None:
        """Note that all rows of a task are written."""
        self._under_way.pop(task.film.key, None)

    def unanswered(self, content: Content, task: Task) -> list[str]:
        """The models that must answer; rows that follow without them (unchanged, unreadable) are written here."""
        film, models = content.film, []
        problem = film.problem or problem_of_facts(film.facts)
        for model, known in task.known.items():
            stands = known and known.final and known.same_facts
            if known and stands and (film.problem or known.sha256 == content.sha256):
                self.reporter.passed()
                if not film.problem:
                    self.journal.note(film, model)
            elif problem:
                # A wrong fact is refused for good, as the server would; a file may be readable the next time.
                status: Status = "failed" if film.problem else "refused"
                self.record(content, model, failure_columns(status, problem.code, problem.message) | {"attempts": 0})
            else:
                models.append(model)
        return models

    def is_current(self, model: str, version: str, card: str) -> bool:
        """Compare an answer's card with the model's; False for a late answer of the version that was replaced.

        Raises:
            ModelChanged: Earlier rows are from another card, and that is not accepted.
        """
        before = self.journal.cards.get(model)
        if before is None:
            self.journal.set_card(model, version, card)
        elif card == self._replaced.get(model):
            return False
        elif card != before[1]:
            if not self.accept_new_model or model in self._replaced:
                raise ModelChanged(
                    f"{model} is now version {version} (card {card[:12]}), but earlier rows are from version "
                    f"{before[0]} (card {before[1][:12]}): --accept-new-model answers those films again, --fresh "
                    "starts from nothing, or go back to the earlier version and give the same command"
                )
            self._replaced[model] = before[1]
            outdated = self.journal.set_card(model, version, card)
            self.reporter.tell(f"{model} has changed: {outdated:,} films will be answered again")
        return True

    def record(
        self,
        content: Content,
        model: str,
        row: Row,
        shares: Mapping[str, float] | None = None,
        fused_shares: Mapping[str, float] | None = None,
    ) -> None:
        """Write a row, which is safe when this returns, and report it.

        Args:
            content: The film's content.
            model: Which model answered, or should have.
            row: What `osteolens.batch.rows.answer_columns` or `failure_columns` gives, and the attempts.
            shares: Probabilities by label; None without an answer.
            fused_shares: Those with the patient's facts.
        """
        row = row | {"sha256": content.sha256, "server": self.server}
        self.journal.record(content.film, model, row, shares or {}, fused_shares or {})
        code = row.get("error_code")
        self.reporter.passed(answered=row["status"] == "answered", error=bool(code))
        if code:
            self.reporter.failed(content.film.file, model, str(code), str(row["error_message"]))

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


def _check_same(film: Film, *, same: bool) -> None:
    if not same:
        raise BatchError(
            f"{film.file!r} is named twice with different facts about the patient; give such rows of a table different "
            "values in a column `id`"
        )
