"""The gate: is a picture a radiograph of a knee from the front, upright and in order? Asked before a model answers it.

A small network looks at all that is on the picture, and a few measurements at its greys. Numbers that decide are in
`gate.json` beside the network, which `train/fit_gate.py` and `train/measure_gate.py` write.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from osteolens.card import Sha256, file_sha256
from osteolens.errors import CardError
from osteolens.films.lie import Lie
from osteolens.films.prepare import content_box
from osteolens.parameters import Frozen
from osteolens.quality import Reason

NETWORK_FILE, CARD_FILE = "gate.onnx", "gate.json"
GATE_FILES = (NETWORK_FILE, CARD_FILE)
SIDE = 128
"""Pixels a side of the network's input."""
COARSE = 256
"""The film is thinned to at least this many pixels on its short side before anything is computed."""
SURE = 0.97
"""A finding with a probability between this and its complement is in doubt, and a turn below it."""
_LOOKS = (0, 1, 2, 3), (0, 3, 2, 1), (2, 3, 0, 1), (2, 1, 0, 3)
"""Where the turns of a film stand among those of it as it is, mirrored, turned by half, and both of these."""

Finding = Literal["knee", "inverted", "metal", "photographed", "leaning", "written", "collage"]
FINDINGS: tuple[Finding, ...] = ("knee", "inverted", "metal", "photographed", "leaning", "written", "collage")
"""Outputs of the network that are each true or not; then come those of `TURNS`, of which one is true."""
TURNS = (0, 90, 180, 270)
"""Degrees clockwise by which the film lies turned."""

_SAYS: dict[str, str] = {
    "not_a_knee": "this does not look like a radiograph of a knee from the front, which is expected",
    "inverted": "bone is darker than its surroundings, expected brighter bone: invert the picture",
    "metal": "there seems to be a prosthesis, plate, nail or screw, expected a knee without metal",
    "photographed": "this looks like a photograph of a screen or light box, expected the film's own file",
    "leaning": "the leg leans far to one side, expected an upright film: turn it straight",
    "written": "text or a drawing lies over the film, expected marks at its edge alone",
    "collage": "several pictures are put together, expected one film in a file",
}
"""Code of a reason to its sentence; those that name numbers are made where they are found."""


CODES = frozenset(
    {
        *_SAYS, "turned", "too_small", "too_dark", "too_bright", "no_contrast", "blurred", "other_body_part",
        "other_view", "no_knee", "several_knees", "knee_cut_off",
    }
)  # fmt: skip
"""Of every reason, also of those that a DICOM header or `osteolens.films.joints` gives."""


class Limit(Frozen):
    """Values of a measurement, the second further out than the first."""

    warn: float
    refuse: float


class GateCard(Frozen):
    """Parameters of the gate, and what they were fitted on."""

    schema_version: Literal[1] = 1
    network_sha256: Sha256
    thresholds: dict[Finding, Annotated[float, Field(gt=0, lt=1)]] = Field(
        description="probability from which a finding counts; for `knee` below which there is none"
    )
    turned: float = Field(gt=0, lt=1, description="probability of being upright below which a film counts as turned")
    min_side: int = Field(ge=64, description="pixels that the short side must have")
    dark: Limit = Field(
        description="lower limits of the brightest level, 98th percentile of the film within its borders"
    )
    bright: Limit = Field(description="upper limits of the median level")
    contrast: Limit = Field(description="lower limits of the 98th minus the 2nd percentile")
    detail: Limit = Field(description="lower limits of fine over coarse detail, see `Measurements.detail`")
    data: str = Field(description="pictures that the network and the limits were fitted on, in words")


class Measurements(Frozen):
    """Plain measurements of a thinned film.

    Attributes:
        high: 98th percentile of the levels within the borders.
        median: The median level there.
        contrast: `high` less the 2nd percentile.
        detail: Standard deviation of what a box of 3 pixels takes away, over that between boxes of 7 and 15; rounding
            to whole levels, which is all the detail of a very blurred film, does not count.
    """

    high: float
    median: float
    contrast: float
    detail: float


AS_IT_SHOULD = Lie()


@dataclass(frozen=True)
class Checked:
    """What the gate says of a picture.

    Attributes:
        pixels: uint8 [H, W] as they are to be read: as sent, or righted.
        lie: How the film lay, if it was righted.
        reasons: Why it should not be answered.
        warnings: What a reader of the answer should know.
    """

    pixels: NDArray[np.uint8]
    lie: Lie = AS_IT_SHOULD
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()


class Gate:
    """Checks pictures.

    Args:
        folder: Holds `gate.onnx` and `gate.json`.

    Raises:
        CardError: One is missing or malformed, or they do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        network = folder / NETWORK_FILE
        try:
            self.card = GateCard.model_validate_json((folder / CARD_FILE).read_bytes())
            actual = file_sha256(network)
        except (OSError, ValidationError) as error:
            raise CardError(f"the gate in {folder} cannot be read: {error}") from error
        if actual != self.card.network_sha256:
            raise CardError(f"{network} has sha256 {actual}, {CARD_FILE} beside it says {self.card.network_sha256}")
        # OpenCV, which reads films anyway, runs so small a network in half a millisecond: no other library is needed.
        self._network = cv2.dnn.readNetFromONNX(str(network))
        self._lock = threading.Lock()  # a network holds the values of one picture at a time

    def check(self, pixels: NDArray[np.uint8]) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
        """Reasons not to answer a picture as it is, and warnings about one that may be answered.

        Args:
            pixels: uint8 [H, W] as `osteolens.films.read.read` gives it.
        """
        reasons, warnings, _ = self._judged(pixels)
        return reasons, warnings

    def righted(self, pixels: NDArray[np.uint8]) -> Checked:
        """The same; a picture that is refused but lies turned or inverted is righted if it passes then.

        Of a film on its side both ways up are tried, and one must pass alone: on its side it shows less well which.

        Args:
            pixels: uint8 [H, W] as `osteolens.films.read.read` gives it.
        """
        reasons, warnings, lie = self._judged(pixels)
        if reasons and lie != AS_IT_SHOULD:
            ways = [replace(lie, turn=turn) for turn in ((90, 270) if lie.turn % 180 else (lie.turn,))]
            backs = [(way, back, *self._judged(back)) for way in ways for back in (way.righted(pixels),)]
            passed = [Checked(back, way, (), others) for way, back, left, others, _ in backs if not left]
            if len(passed) == 1:
                return passed[0]
        return Checked(pixels, AS_IT_SHOULD, reasons, warnings)

    def _judged(self, pixels: NDArray[np.uint8]) -> tuple[tuple[Reason, ...], tuple[str, ...], Lie]:
        thinned = coarse(pixels)
        top, left, height, width = content_box(thinned)
        content = thinned[top : top + height, left : left + width]
        scores = self._considered(_fitted(content))
        measured, warnings = self._measured(content)
        return (*self._size(pixels.shape), *self._seen(scores), *measured), warnings, self._lie(scores)

    def scores(self, thinned: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities of `FINDINGS` and of `TURNS`, float64 [11], for a film from `coarse`."""
        return self._considered(view(thinned))

    def _considered(self, seen: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities for an input of the network; where they leave a doubt, of it mirrored and upside down as well.

        A mirrored film lies turned the other way, and one upside down by half a turn more: each look is brought back
        to what it says of the film as it is, and the looks are averaged.
        """
        first = self._logits(seen)
        scores = _probabilities(first)
        findings, turns = scores[: len(FINDINGS)], scores[len(FINDINGS) :]
        if (np.abs(findings - 0.5) > SURE - 0.5).all() and turns.max() > SURE:
            return scores
        mirrored = self._logits(seen[:, ::-1])
        upside, both = self._logits(seen[::-1, ::-1]), self._logits(seen[::-1])
        single = (first + mirrored)[: len(FINDINGS)] / 2
        looks = zip((first, mirrored, upside, both), _LOOKS, strict=True)
        turned = np.mean([look[len(FINDINGS) :][list(order)] for look, order in looks], axis=0)
        return _probabilities(np.concatenate([single, turned]))

    def _logits(self, seen: NDArray[np.uint8]) -> NDArray[np.float64]:
        with self._lock:
            self._network.setInput(np.ascontiguousarray(seen[None, None], np.float32))
            logits: NDArray[np.float64] = self._network.forward()[0].astype(np.float64)
            return logits

    def _size(self, shape: tuple[int, ...]) -> list[Reason]:
        height, width = shape
        if min(height, width) >= self.card.min_side:
            return []
        found = (
            f"the picture has only {width} x {height} pixels, expected at least {self.card.min_side} on its short side"
        )
        return [Reason(code="too_small", message=found)]

    def _lie(self, scores: NDArray[np.float64]) -> Lie:
        """How the film most likely lies, by the network."""
        upright, inverted = scores[len(FINDINGS)], scores[FINDINGS.index("inverted")]
        turn = TURNS[int(scores[len(FINDINGS) :].argmax())] if upright < self.card.turned else 0
        return Lie(turn, bool(inverted >= self.card.thresholds["inverted"]))

    def _seen(self, scores: NDArray[np.float64]) -> list[Reason]:
        """What the network finds; of what is no knee nothing else is known."""
        found = dict(zip(FINDINGS, scores.tolist(), strict=False))
        codes: list[str] = [
            name for name in FINDINGS[1:] if found[name] >= self.card.thresholds[name] and name != "knee"
        ]
        if found["knee"] < self.card.thresholds["knee"]:
            codes = ["not_a_knee"]
        reasons = [Reason(code=code, message=_SAYS[code]) for code in codes]
        upright = scores[len(FINDINGS)]
        if upright < self.card.turned and codes != ["not_a_knee"] and not {"photographed", "collage"} & set(codes):
            degrees = TURNS[1 + int(scores[len(FINDINGS) + 1 :].argmax())]
            back = f"by {360 - degrees} degrees clockwise" if degrees != 180 else "upside down"
            found_turn = f"the film lies turned, expected the thigh at the top: turn it {back}"
            reasons.append(Reason(code="turned", message=found_turn))
        return reasons

    def _measured(self, content: NDArray[np.uint8]) -> tuple[list[Reason], tuple[str, ...]]:
        card, values = self.card, measure(content)
        dark = f"the picture is dark: its brightest part has the level {values.high:.0f} of 255"
        bright = f"the picture is bright: half of it is above the level {values.median:.0f} of 255"
        flat = f"the picture has little contrast: its levels span {values.contrast:.0f} of 255"
        found = [
            _judge("too_dark", values.high, card.dark, dark),
            _judge("too_bright", -values.median, _mirrored(card.bright), bright),
            _judge("no_contrast", values.contrast, card.contrast, flat),
            _judge("blurred", values.detail, card.detail, "the picture is blurred"),
        ]
        reasons = [outcome for outcome in found if isinstance(outcome, Reason)]
        return reasons, tuple(outcome for outcome in found if isinstance(outcome, str))


def _judge(code: str, value: float, limit: Limit, sentence: str) -> Reason | str | None:
    """A reason, a warning, or nothing, for a value that has lower limits."""
    if value < limit.refuse:
        return Reason(code=code, message=f"{sentence}, expected a film as it was made")
    return sentence if value < limit.warn else None


def _mirrored(limit: Limit) -> Limit:
    return Limit(warn=-limit.warn, refuse=-limit.refuse)


def _probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    single, turns = logits[: len(FINDINGS)], logits[len(FINDINGS) :]
    powers = np.exp(turns - turns.max())
    return np.concatenate([1 / (1 + np.exp(-single)), powers / powers.sum()])


def coarse(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so many-th pixel of a film, so that nothing after it depends on the film's size: uint8 [h, w]."""
    stride = max(1, min(pixels.shape) // COARSE)
    return np.ascontiguousarray(pixels[::stride, ::stride])


def view(thinned: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The network's input for a film from `coarse`: uint8 [SIDE, SIDE], without empty borders."""
    top, left, height, width = content_box(thinned)
    return _fitted(thinned[top : top + height, left : left + width])


def _fitted(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The content scaled with its aspect ratio kept, in the middle of black."""
    height, width = content.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = np.zeros((SIDE, SIDE), np.uint8)
    y, x = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    fitted[y : y + size[1], x : x + size[0]] = cv2.resize(content, size, interpolation=cv2.INTER_AREA)
    return fitted


def measure(content: NDArray[np.uint8]) -> Measurements:
    """Measurements of a thinned film within its borders, uint8 [h, w]."""
    cumulated = np.cumsum(cv2.calcHist([content], [0], None, [256], [0, 256]).ravel()) / content.size
    low, median, high = (int(np.searchsorted(cumulated, share)) for share in (0.02, 0.5, 0.98))
    near, middle, wide = (cv2.boxFilter(content, cv2.CV_32F, (side, side)) for side in (3, 7, 15))
    fine, rough = (float(cv2.meanStdDev(difference)[1][0, 0]) for difference in (content - near, middle - wide))
    return Measurements(high=high, median=median, contrast=high - low, detail=_above(fine) / max(rough, 1.0))


def _above(deviation: float) -> float:
    """What a deviation of fine detail has beyond that of rounding to whole levels, whose variance is 1 / 12."""
    return float(np.sqrt(max(deviation**2 - (1 - 1 / 9) / 12, 0.0)))


def find_gate(folder: Path) -> Path | None:
    """The folder of a model's gate: its own (an archive's), or the one beside it (`weights/gate`); None without."""
    places = (folder, folder.parent / "gate")
    return next((place for place in places if all((place / name).is_file() for name in GATE_FILES)), None)
