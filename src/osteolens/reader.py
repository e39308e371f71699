"""Films in, answers out: decode, classify, explain. The handler and `osteolens predict --local` share it."""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from osteolens import calibration, gradcam, image, overlay, preprocess
from osteolens.calibration import Reading
from osteolens.card import PATIENT_FACTS, Card
from osteolens.errors import InputError, InvalidOption
from osteolens.runtime import Prediction
from osteolens.runtime.eager import EagerRuntime
from osteolens.schema import (
    ALL_TARGETS,
    Answer,
    Explanation,
    Film,
    Fused,
    Method,
    ModelInfo,
    Options,
    Quality,
    Spread,
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
        reading = calibration.read_image(self.card.labels, prediction.logits, prediction.t_score, self.card)
        self._explain(cases, films, features, reading)
        return [
            self._finish(case, reading, row, _spread(prediction, reading, row, self.card), model_ms)
            for row, case in enumerate(cases)
        ]

    def _explain(self, cases: list[_Case], films: NDArray[np.uint8], features: Tensor, reading: Reading) -> None:
        wanted: dict[Method, list[tuple[int, int]]] = defaultdict(list)
        for row, case in enumerate(cases):
            if case.options.explain != "none":
                for target in self._targets(case.options, int(reading.probabilities[row].argmax())):
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

    def _fuse(self, options: Options, reading: Reading, row: int) -> Fused | None:
        """The answer with the patient's facts, from as many as are given; None where they are too few."""
        given = {name: getattr(options, name) for name in PATIENT_FACTS}
        known = {name for name, value in given.items() if value is not None}
        fusion = calibration.choose_fusion(self.card.fusion, known)
        if fusion is None:
            return None
        facts = {name: np.array([_as_number(given[name])]) for name in fusion.inputs}
        probabilities, t_score = reading.probabilities[[row]], reading.t_score[[row]]
        fused = calibration.read_fused(self.card.labels, probabilities, t_score, facts, fusion)
        return Fused(inputs=fusion.inputs, **_said(self.card.labels, fused, 0))

    def _finish(self, case: _Case, reading: Reading, row: int, spread: Spread | None, model_ms: float) -> Answer:
        height, width = case.picture.pixels.shape
        return Answer(
            id=case.request.id,
            **_said(self.card.labels, reading, row),
            fold_spread=spread,
            fused=self._fuse(case.options, reading, row),
            quality=Quality(warnings=case.picture.warnings),
            film=Film(width=width, height=height),
            explanations=tuple(case.explanations),
            model=self._model_info,
            timing_ms=Timing(
                decode=round(case.decode_ms, 2), model=round(model_ms, 2), explain=round(case.explain_ms, 2)
            ),
        )


def _said(labels: tuple[str, ...], reading: Reading, row: int) -> dict[str, Any]:
    """What a reading says of one film, by the names that `Answer` and `Fused` share."""
    probabilities, estimate, low = reading.probabilities[row], float(reading.t_score[row]), float(reading.low[row])
    interval = None if math.isnan(low) else (low, float(reading.high[row]))
    return {
        "label": labels[int(probabilities.argmax())],
        "probabilities": dict(zip(labels, probabilities.tolist(), strict=True)),
        "t_score": None if math.isnan(estimate) else TScore(estimate=estimate, interval_90=interval),
        "triage": str(reading.zone[row]) or None,
    }


def _as_number(fact: float | str) -> float:
    return calibration.SEXES[fact] if isinstance(fact, str) else fact


def _spread(prediction: Prediction, reading: Reading, row: int, card: Card) -> Spread | None:
    """How far an ensemble's members agree about one film of a batch; None for a single model."""
    if prediction.member_logits is None:
        return None
    labels, members = card.labels, calibration.calibrate(prediction.member_logits[row], card.calibration)
    return Spread(
        members=len(members),
        agreeing=int((members.argmax(axis=1) == reading.probabilities[row].argmax()).sum()),
        low=dict(zip(labels, members.min(axis=0).tolist(), strict=True)),
        high=dict(zip(labels, members.max(axis=0).tolist(), strict=True)),
    )


def _add_explanation(case: _Case, method: Method, label: str, raw: NDArray[np.float32], share_ms: float) -> None:
    started = time.perf_counter()
    levels, peak = overlay.map_on_film(raw, case.prepared.geometry)
    case.explanations.append(Explanation(method=method, target=label, map_png=overlay.encode_map(levels), peak=peak))
    case.explain_ms += share_ms + _ms_since(started)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
