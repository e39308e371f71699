"""The readings of a film, sorted by what they are to its reader."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from films.models import Film, Reading


@dataclass(frozen=True)
class FilmReadings:
    """Each list in the order of settings.MODELS, models that are no longer asked last.

    Attributes:
        current: The latest answer of each model.
        waiting: Questions without an answer yet.
        refused: The latest question of a model, if it was refused.
        older: Earlier answers, the latest first.
    """

    current: list[Reading]
    waiting: list[Reading]
    refused: list[Reading]
    older: list[Reading]

    @property
    def main(self) -> Reading | None:
        """The answer that stands for the film."""
        return self.current[0] if self.current else None

    def of(self, model: str | None) -> Reading | None:
        """The current answer of a model; of the main one without a name."""
        return (
            self.main if model is None else next((reading for reading in self.current if reading.model == model), None)
        )


def readings_of(film: Film) -> FilmReadings:
    """Sort a film's readings; one query."""
    latest: dict[str, Reading] = {}
    last: dict[str, Reading] = {}
    older: list[Reading] = []
    waiting: list[Reading] = []
    # Ids grow as readings are created, so the last answered row of a model is its current answer.
    for reading in film.readings.order_by("pk"):
        last[reading.model] = reading
        if reading.state == Reading.State.QUEUED:
            waiting.append(reading)
        if reading.state == Reading.State.ANSWERED:
            if reading.model in latest:
                older.append(latest[reading.model])
            latest[reading.model] = reading
    refused = [reading for reading in last.values() if reading.state == Reading.State.REFUSED]
    return FilmReadings(_ordered(latest.values()), _ordered(waiting), _ordered(refused), older[::-1])


def _ordered(readings: Iterable[Reading]) -> list[Reading]:
    places = {model: place for place, model in enumerate(settings.MODELS)}
    return sorted(readings, key=lambda reading: (places.get(reading.model, len(places)), reading.model, reading.pk))
