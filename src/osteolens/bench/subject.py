"""What is timed: calls of a loaded backend, and what they answered."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from osteolens import schema
from osteolens.bench.parity import Outputs
from osteolens.bench.results import Case
from osteolens.errors import BenchmarkError, InputError
from osteolens.films import overlay
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import Prediction

Call = Callable[[], Any]
"""Everything that it needs is ready; what it gives back is for `Subject.outputs`."""


class Subject:
    """A backend with the films to ask it about.

    Args:
        reader: Computes with the backend.
        films: The files' bytes.
    """

    def __init__(self, reader: Reader, films: Sequence[bytes]) -> None:
        self.reader = reader
        self.films = films
        prepared = [prepare(read(film).pixels, reader.card.preprocess).array for film in films]
        self.arrays: NDArray[np.uint8] = np.stack(prepared)

    def calls(self, case: Case, start: int, count: int) -> list[Call]:
        """Calls about as many batches of films, from film `start` on and round again at the end."""
        indices = np.arange(start, start + count * case.batch) % len(self.films)
        return [self._call(case, batch) for batch in indices.reshape(count, case.batch)]

    def outputs(self, case: Case) -> Outputs:
        """Answers about every film, asked for as in the case."""
        films = len(self.films)
        answers = [call() for call in self.calls(case, 0, -(-films // case.batch))]
        rows = [row for answer in answers for row in self._rows(case, answer)][:films]
        maps = [row[2] for row in rows if row[2] is not None]
        return Outputs(np.array([row[0] for row in rows], np.float64), np.array([row[1] for row in rows]), maps)

    def _call(self, case: Case, indices: NDArray[np.int64]) -> Call:
        if case.scope == "bytes":
            options = {"explain": "none"} if case.heat_map == "none" else {}
            requests = [Request(self.films[index], options, "film") for index in indices]
            return lambda: self._answer(requests)
        films = self.arrays[indices]
        if case.heat_map == "none":
            return lambda: self._classify(films)
        if case.heat_map == "grad-cam":
            return lambda: self._explain(films)
        return lambda: self.reader.runtime.predict(films)

    def _answer(self, requests: list[Request]) -> bytes:
        return schema.dump([_accepted(outcome) for outcome in self.reader.answer(requests)])

    def _classify(self, films: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.no_grad():
            logits, t_score = self.reader.eager.model(torch.from_numpy(films))
        return logits.numpy(), t_score.numpy()

    def _explain(self, films: NDArray[np.uint8]) -> tuple[Prediction, NDArray[np.float32]]:
        prediction, features = self.reader.eager.predict_with_features(films)
        targets = prediction.logits.argmax(axis=1).tolist()
        return prediction, self.reader.eager.explain(films, features, "gradcam", targets)

    def _rows(self, case: Case, answer: Any) -> list[tuple[Any, float, NDArray[Any] | None]]:
        """Probabilities, T-score and heat map of each film that a call answered."""
        if case.scope == "bytes":
            return [_row(one) for one in cast("list[schema.Answer]", schema.parse(answer))]
        if case.heat_map == "none":
            logits, t_score = answer
            empty = np.zeros((*logits.shape, 0, 0), np.float32)
            prediction, maps = Prediction(logits, t_score, empty, logits), [None] * len(logits)
        elif case.heat_map == "grad-cam":
            prediction, maps = answer
        else:
            prediction = answer
            maps = prediction.maps[np.arange(len(prediction.logits)), prediction.logits.argmax(axis=1)]
        return list(zip(prediction.probabilities, prediction.t_score.tolist(), maps, strict=True))


def _accepted(outcome: schema.Answer | InputError) -> schema.Answer:
    if isinstance(outcome, InputError):
        raise BenchmarkError(f"a film cannot be answered: {outcome}")
    return outcome


def _row(answer: schema.Answer) -> tuple[list[float], float, NDArray[Any] | None]:
    maps = [overlay.decode_map(explanation.map_png) for explanation in answer.explanations]
    t_score = answer.t_score.estimate if answer.t_score else float("nan")
    return list(answer.probabilities.values()), t_score, maps[0] if maps else None
