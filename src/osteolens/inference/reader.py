"""Reads a film: decodes, classifies and explains it. The handler and `osteolens predict --local` share it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from osteolens.card import ONNX_FILE, load_card
from osteolens.errors import InvalidOption
from osteolens.evidence import evidence_of
from osteolens.films import overlay
from osteolens.films.gate import Checked, Gate, find_gate
from osteolens.films.joints import Joint, finder_of
from osteolens.films.knees import faults, prepare_each, sides
from osteolens.films.prepare import Prepared
from osteolens.films.read import MIN_SIDE, Picture, read
from osteolens.films.sense import INVERTED
from osteolens.inference import calibration, familiarity
from osteolens.inference.availability import needs_packages
from osteolens.inference.parts import Part, explanation, fuse, knee, patient_facts
from osteolens.inference.runtimes import Prediction, Runtime
from osteolens.options import ALL_TARGETS, PERTURBING, Method, Options, parse_options
from osteolens.quality import Quality, Reason
from osteolens.rows import FilmRefused, Refusal
from osteolens.schema import Answer, Explanation, Film, ModelInfo, Timing

if TYPE_CHECKING:
    from torch import Tensor

    from osteolens.inference.runtimes.eager import EagerRuntime
    from osteolens.inference.runtimes.heads import HeadsRuntime


UNFAMILIAR = "the film is unlike those that the model was trained on: its answer is a guess"


@dataclass(frozen=True)
class Request:
    """A film with its options.

    Attributes:
        data: The file's bytes.
        options: Raw texts by option name, see `osteolens.options.Options`.
        id: Repeated in the answer.
    """

    data: bytes
    options: Mapping[str, str]
    id: str


class Reader:
    """A loaded model that answers requests, one film at a time.

    Args:
        folder: A model folder: `card.json` and `weights.safetensors`.
        runtime: Computes answers and the default heat map; default: the eager model. With another runtime PyTorch is
            loaded when a request first wants another explanation.
        graph: The model's fp32 graph, which computes the feature map that other explanations start from; default: the
            one in the folder. Where there is none, the eager model does.
        slow_methods: Allow explanations that take a minute a film (`osteolens.options.PERTURBING`). A server
            does not: a single such request would hold up all others.
    """

    def __init__(
        self, folder: Path, runtime: Runtime | None = None, *, graph: Path | None = None, slow_methods: bool = False
    ) -> None:
        self.folder = folder
        self.card = load_card(folder)
        self.runtime = runtime or self.eager
        self.graph = graph or folder / ONNX_FILE
        self.slow_methods = slow_methods
        self.finder = finder_of(folder, self.card)
        self._gradients = runtime is None
        self._evidence = evidence_of(self.card)
        gate = find_gate(folder)
        self.gate = Gate(gate) if gate else None
        self.familiarity = familiarity.load(folder, self.card.weights_sha256)
        self._model_info = ModelInfo(name=self.card.name, version=self.card.version, card_sha256=self.card.sha256)

    @cached_property
    def eager(self) -> "EagerRuntime":
        """The PyTorch model."""
        with needs_packages():
            from osteolens.inference.runtimes.eager import EagerRuntime

            return EagerRuntime(self.folder)

    @cached_property
    def heads(self) -> "HeadsRuntime":
        """What explains by gradients, from the feature map of the graph."""
        with needs_packages():
            from osteolens.inference.runtimes.heads import HeadsRuntime

            return HeadsRuntime(self.folder, self.graph)

    def warm_up(self) -> None:
        """Answer a made-up film, so that no request pays for first-time set-up."""
        # A ramp of greys: a blank picture would be refused.
        spec = self.card.preprocess
        shape = max(spec.height, MIN_SIDE), max(spec.width, MIN_SIDE)
        film = overlay.encode_png(np.arange(shape[0] * shape[1], dtype=np.uint32).astype(np.uint8).reshape(shape))
        self.answer(Request(film, {"force": "true"}, "warm-up"))

    def answer(self, request: Request) -> Answer:
        """Read one film. A CPU gains nothing from larger batches, so films are answered one by one.

        Raises:
            FilmRefused: The picture is not a film that the model can read, and `force` is not among the options.
            InputError: The film cannot be read, or an option means nothing.
        """
        started = time.perf_counter()
        options = self._options(request)
        picture = read(request.data)
        checked = self.gate.righted(picture.pixels) if self.gate else Checked(picture.pixels)
        pixels, lie = checked.pixels, checked.lie
        film_size = Film(width=picture.pixels.shape[1], height=picture.pixels.shape[0])
        joints = self.finder.find(pixels) if self.finder else ()
        known = sides(joints, picture.source.side if picture.source else None)
        quality = self._quality(picture, checked, joints)
        if not (quality.accepted or options.force):
            raise FilmRefused(self._refusal(request, quality, film_size, started))
        inputs = [
            replace(prepared, geometry=lie.laid(prepared.geometry))
            for prepared in prepare_each(pixels, self.card.preprocess, joints, tuple(side for side, _ in known))
        ]
        decoded = time.perf_counter()
        predicted = [self._predict(prepared.array[None]) for prepared in inputs]
        answered = time.perf_counter()
        parts = [self._part(options, prepared, *outputs) for prepared, outputs in zip(inputs, predicted, strict=True)]
        worse = max(range(len(parts)), key=lambda number: parts[number].severity)
        explained = time.perf_counter()
        fields = [part.fields(self.card, self._evidence.image) for part in parts]
        own = fields if self.card.preprocess.view == "each knee" else [{}] * len(joints)
        return Answer(
            id=request.id,
            **fields[worse],
            fused=fuse(self.card, self._evidence, patient_facts(options, picture.source), parts[worse]),
            evidence=self._evidence,
            quality=self._familiar(quality, [part.prediction for part in parts]),
            film=film_size,
            knees=tuple(
                knee(joint, side, pixels.shape, lie, each)
                for joint, side, each in zip(joints, known, own, strict=False)
            ),
            model=self._model_info,
            timing_ms=Timing(
                decode=_ms(started, decoded), model=_ms(decoded, answered), explain=_ms(answered, explained)
            ),
        )

    def _familiar(self, quality: Quality, predictions: list[Prediction]) -> Quality:
        """The same with the distance from the training films: that of the stranger knee where there are two."""
        if self.familiarity is None:
            return quality
        distance = max(self.familiarity.distance(prediction.pooled[0]) for prediction in predictions)
        warnings = (*quality.warnings, UNFAMILIAR) if distance > 1 else quality.warnings
        return quality.model_copy(update={"unfamiliarity": round(distance, 3), "warnings": warnings})

    def _refusal(self, request: Request, quality: Quality, film: Film, started: float) -> Refusal:
        timing = Timing(decode=_ms(started, time.perf_counter()), model=0, explain=0)
        return Refusal(id=request.id, quality=quality, film=film, model=self._model_info, timing_ms=timing)

    def _options(self, request: Request) -> Options:
        options = parse_options(request.options, self.card.labels)
        if options.explain in PERTURBING and not self.slow_methods:
            raise InvalidOption(
                f"{options.explain} runs the model over a thousand times a film, which a server does not do",
                f"explain=gradcam, or without a server: osteolens predict FILE --local --explain {options.explain}",
            )
        return options

    def _quality(self, picture: Picture, checked: Checked, joints: tuple[Joint, ...]) -> Quality:
        """What speaks against the film. Joints that are not as they should be are reasons where each knee is read."""
        flaws = faults(joints, checked.pixels.shape) if self.finder else {}
        each = self.card.preprocess.view == "each knee"
        reasons = (*picture.reasons, *checked.reasons)
        if each:
            codes = {reason.code for reason in reasons}
            reasons += tuple(Reason(code=code, message=text) for code, text in flaws.items() if code not in codes)
        decoded = (warning for warning in picture.warnings if not (checked.lie.inverted and warning == INVERTED))
        warnings = (*decoded, *checked.warnings, *(() if each else flaws.values()))
        return Quality(
            accepted=not reasons, reasons=reasons, warnings=warnings, corrections=checked.lie.corrections,
            source=picture.source,
        )  # fmt: skip

    def _predict(self, film: NDArray[np.uint8]) -> "tuple[Prediction, Tensor | None]":
        """Outputs for one input uint8 [1, 1, H, W], and the feature map where the eager model answers."""
        if self._gradients:
            return self.eager.predict_with_features(film)
        return self.runtime.predict(film), None

    def _part(self, options: Options, prepared: Prepared, prediction: Prediction, features: "Tensor | None") -> Part:
        reading = calibration.read_image(self.card.labels, prediction.logits, prediction.t_score, self.card)
        targets = self._targets(options, int(reading.probabilities[0].argmax()))
        return Part(prediction, reading, self._explain(options.explain, targets, prepared, prediction, features))

    def _explain(
        self, method: Method, targets: list[int], prepared: Prepared, prediction: Prediction, features: "Tensor | None"
    ) -> tuple[Explanation, ...]:
        """The heat map of each target: the graph's own where it has the method's, else by gradients."""
        if method == "none":
            return ()
        if method == "gradcam" and features is None:
            maps = prediction.maps[0][targets]  # the exported graph computes them anyway
        elif features is None and method not in PERTURBING and self.graph.is_file():
            maps = self.heads.explain(prepared.array[None], method, targets)
        else:
            films = np.repeat(prepared.array[None], len(targets), axis=0)
            repeated = None if features is None else features.expand(len(targets), -1, -1, -1)
            maps = self.eager.explain(films, repeated, method, targets)
        return tuple(
            explanation(method, self.card.labels[target], raw, prepared.geometry, self.card)
            for target, raw in zip(targets, maps, strict=True)
        )

    def _targets(self, options: Options, predicted: int) -> list[int]:
        if options.target is None:
            return [predicted]
        if options.target == ALL_TARGETS:
            return list(range(len(self.card.labels)))
        return [self.card.labels.index(options.target)]


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
