"""Films in, answers out: decode, classify, explain. The handler and `osteolens predict --local` share it."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from osteolens import gradcam, image, overlay, preprocess
from osteolens.errors import InputError, InvalidOption
from osteolens.runtime import Prediction
from osteolens.runtime.eager import EagerRuntime
from osteolens.schema import (
    ALL_TARGETS,
    Answer,
    Explanation,
    Film,
    Method,
    ModelInfo,
    Options,
    Quality,
    Timing,
    TScore,
    parse_options,
)

MAX_BATCH = 4
"""Films that go through the model at once; more are answered in turns. A CPU gains nothing from larger batches,
which only take more memory."""


@dataclass(frozen=True)
class Request:
    """One film and what is asked about it.

    Attributes:
        data: The file's bytes.
        options: Raw texts by option name, see `osteolens.schema.Options`.
        id: Comes back in the answer.
    """

    data: bytes
    options: Mapping[str, str]
    id: str


@dataclass
class _Case:
    """A request on its way to an answer."""

    request: Request
    options: Options
    picture: image.Picture
    prepared: preprocess.Prepared
    decode_ms: float
    explain_ms: float = 0.0
    explanations: list[Explanation] = field(default_factory=list)


class Reader:
    """A loaded model that answers requests.

    Args:
        folder: A model folder: `card.json` and `weights.safetensors`.
        slow_methods: Allow explanations that take a minute a film (`osteolens.gradcam.PERTURBING`). A server
            does not: one such request would hold up everybody else's.
    """

    def __init__(self, folder: Path, *, slow_methods: bool = False) -> None:
        self.runtime = EagerRuntime(folder)
        self.card = self.runtime.card
        self.slow_methods = slow_methods
        self._model_info = ModelInfo(name=self.card.name, version=self.card.version, card_sha256=self.card.sha256)

    def warm_up(self) -> None:
        """Run every batch size once, with an explanation, so that no request pays for first-time set-up."""
        spec = self.card.preprocess
        for batch in (1, MAX_BATCH):
            films = np.zeros((batch, 1, spec.height, spec.width), np.uint8)
            _, features = self.runtime.predict_with_features(films)
            self.runtime.explain(films, features, "gradcam", [0] * batch)

    def answer(self, requests: Sequence[Request]) -> list[Answer | InputError]:
        """One answer or input error per request, in order."""
        outcomes: list[Answer | InputError] = []
        for start in range(0, len(requests), MAX_BATCH):
            outcomes += self._answer_batch(requests[start : start + MAX_BATCH])
        return outcomes

    def _answer_batch(self, requests: Sequence[Request]) -> list[Answer | InputError]:
        opened = [self._open(request) for request in requests]
        cases = [case for case in opened if isinstance(case, _Case)]
        answers = iter(self._classify(cases) if cases else ())
        return [next(answers) if isinstance(case, _Case) else case for case in opened]

    def _open(self, request: Request) -> _Case | InputError:
        started = time.perf_counter()
        try:
            options = parse_options(request.options, self.card.labels)
            if options.explain in gradcam.PERTURBING and not self.slow_methods:
                raise InvalidOption(
                    f"{options.explain} runs the model over a thousand times a film, which a server does not do",
                    f"explain=gradcam, or without a server: osteolens predict FILE --local --explain {options.explain}",
                )
            picture = image.read(request.data)
        except InputError as error:
            return error
        prepared = preprocess.prepare(picture.pixels, self.card.preprocess)
        return _Case(request, options, picture, prepared, _ms_since(started))

    def _classify(self, cases: list[_Case]) -> list[Answer]:
        started = time.perf_counter()
        films = np.stack([case.prepared.array for case in cases])
        prediction, features = self.runtime.predict_with_features(films)
        model_ms = _ms_since(started) / len(cases)
        self._explain(cases, films, features, prediction)
        probabilities = prediction.probabilities
        return [
            self._finish(case, probabilities[row], float(prediction.t_score[row]), model_ms)
            for row, case in enumerate(cases)
        ]

    def _explain(self, cases: list[_Case], films: NDArray[np.uint8], features: Tensor, prediction: Prediction) -> None:
        wanted: dict[Method, list[tuple[int, int]]] = defaultdict(list)
        for row, case in enumerate(cases):
            if case.options.explain != "none":
                for target in self._targets(case.options, int(prediction.logits[row].argmax())):
                    wanted[case.options.explain].append((row, target))
        for method, pairs in wanted.items():
            started = time.perf_counter()
            rows, targets = [row for row, _ in pairs], [target for _, target in pairs]
            maps = self.runtime.explain(films[rows], features[rows], method, targets)
            share_ms = _ms_since(started) / len(pairs)
            for (row, target), raw in zip(pairs, maps, strict=True):
                _add_explanation(cases[row], method, self.card.labels[target], raw, share_ms)

    def _targets(self, options: Options, predicted: int) -> list[int]:
        if options.target is None:
            return [predicted]
        if options.target == ALL_TARGETS:
            return list(range(len(self.card.labels)))
        return [self.card.labels.index(options.target)]

    def _finish(self, case: _Case, probabilities: NDArray[np.float64], t_score: float, model_ms: float) -> Answer:
        labels = self.card.labels
        height, width = case.picture.pixels.shape
        return Answer(
            id=case.request.id,
            label=labels[int(probabilities.argmax())],
            probabilities={label: float(share) for label, share in zip(labels, probabilities, strict=True)},
            t_score=TScore(estimate=t_score) if self.card.has_t_score else None,
            quality=Quality(warnings=case.picture.warnings),
            film=Film(width=width, height=height),
            explanations=tuple(case.explanations),
            model=self._model_info,
            timing_ms=Timing(
                decode=round(case.decode_ms, 2), model=round(model_ms, 2), explain=round(case.explain_ms, 2)
            ),
        )


def _add_explanation(case: _Case, method: Method, label: str, raw: NDArray[np.float32], share_ms: float) -> None:
    started = time.perf_counter()
    levels, peak = overlay.map_on_film(raw, case.prepared.geometry)
    case.explanations.append(Explanation(method=method, target=label, map_png=overlay.encode_map(levels), peak=peak))
    case.explain_ms += share_ms + _ms_since(started)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
