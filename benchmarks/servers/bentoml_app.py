"""BentoML: a service of two worker processes."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from reading import answer, open_reader


@bentoml.service(
    workers=2, traffic={"timeout": 60}, metrics={"enabled": False}, tracing={"sample_rate": 0.0},
    logging={"access": {"enabled": False}},
)  # fmt: skip
class Film:
    """A film's bytes to JSON."""

    def __init__(self) -> None:
        self.reader = open_reader()

    @bentoml.api(route="/predictions")
    def predict(
        self, film: Annotated[Path, ContentType("image/jpeg")], /
    ) -> Annotated[str, ContentType("application/json")]:
        """BentoML hands files over as paths."""
        return answer(self.reader, film.read_bytes()).decode()
