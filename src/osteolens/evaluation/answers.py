"""Answers to labelled films by a finished model, wherever it runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.evaluation.evidence import Parameters, Predictor
from osteolens.evaluation.predictions import Predictions, Split
from osteolens.evidence import AnswerEvidence
from osteolens.quality import Reason

MIN_WITH_FACTS = 10
"""Films with a fusion's facts below which its figures would be those of the image."""


@dataclass(frozen=True)
class Answers:
    """What a model answers to labelled films, one answer each, as it is served.

    Attributes:
        name: The model's name.
        version: Its version.
        card_sha256: The hash of its card.
        predictions: The films that were answered, as those of one part that chose nothing. The logits of a server's
            answers are logarithms of calibrated probabilities, as it gives no others.
        predictors: The image, and the image with each set of facts that enough films have.
        parameters: Of the card; of a server's answers none.
        evidence: What the model was shown to know before, which decides what its answers lead with.
        unanswered: Films without an answer, with the reason, a sentence each.
        at_gate: What a server does to some of the films, a sentence each: how many it rights or refuses.
    """

    name: str
    version: str
    card_sha256: str
    predictions: Predictions
    predictors: tuple[Predictor, ...]
    parameters: Parameters
    evidence: AnswerEvidence
    unanswered: tuple[str, ...] = ()
    at_gate: tuple[str, ...] = ()

    def among(self, chosen: NDArray[np.bool_]) -> "Answers":
        """Those about some of the films, bool [N]."""
        predictors = tuple(predictor.among(chosen) for predictor in self.predictors)
        return replace(self, predictions=self.predictions.among(chosen), predictors=predictors)


def protocol_of(name: str, version: str) -> str:
    """The first words of a protocol."""
    return f"{name} {version} as it is served; nothing of it was fitted on these films"


def gate_remarks(
    films: Sequence[Film], quality: Sequence[tuple[Sequence[Reason], Sequence[Reason]]]
) -> tuple[str, ...]:
    """How many of the films were righted before they were answered, and how many a server would refuse.

    Args:
        films: Those that were answered.
        quality: For each why the gate refuses it, and what was done to right it.
    """
    refused, righted = (
        [f"{film.file}: {reasons[0].message}" for film, reasons in zip(films, which, strict=True) if reasons]
        for which in (tuple(zip(*quality, strict=True)) or ((), ()))
    )
    remarks = []
    if righted:
        remarks.append(
            f"{len(righted)} of {len(films)} films lay turned or inverted and were righted, as a server does, such as "
            f"{righted[0]}."
        )
    if refused:
        remarks.append(
            f"A server would refuse {len(refused)} of {len(films)} films, such as {refused[0]}. The figures hold them."
        )
    return tuple(remarks)


def table_of(
    labels: tuple[str, ...],
    films: Sequence[Film],
    logits: NDArray[np.floating],
    t_scores: NDArray[np.floating],
    problems: Sequence[str],
) -> Predictions:
    """The table of some films' answers: logits [N, K] and T-scores [N].

    Raises:
        DataError: There are none.
    """
    if not films:
        raise DataError(f"no film was answered; the first problem is {problems[0] if problems else 'an empty table'}")
    fold = np.zeros((1, len(films)), np.int64)
    answers = logits[None].astype(np.float64), t_scores[None].astype(np.float64)
    return Predictions(labels, films, fold, *answers, split=Split("test", training=()))


def refuse_labels(films: Sequence[Film], labels: Sequence[str], model: str) -> None:
    """Refuse films with a label that a model does not know."""
    strange = sorted({film.label for film in films} - set(labels))
    if strange:
        raise DataError(
            f"the films have the label {strange[0]!r}, {model} knows {', '.join(labels)}: name the labels as it does"
        )
