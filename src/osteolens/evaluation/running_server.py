"""Answers to labelled films by a model behind a server's address."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from osteolens.card import CARD_FILE, load_card
from osteolens.client import Client
from osteolens.datasets.films import Film
from osteolens.datasets.fingerprints import TrainingFilms, read_training_films
from osteolens.errors import DataError, RequestRefused
from osteolens.evaluation.answers import MIN_WITH_FACTS, Answers, gate_remarks, protocol_of, refuse_labels, table_of
from osteolens.evaluation.evidence import Parameters, Predictor
from osteolens.evaluation.fusion import FACT_SETS, FactSet
from osteolens.evaluation.predictors import FACTS, IMAGE, fused_name
from osteolens.films.knees import WHICH_KNEE
from osteolens.inference.calibration import SEXES
from osteolens.quality import Side
from osteolens.schema import Answer, Fused, Knee

CALLERS = 8
"""Films that a server is sent at a time."""
_EVERY_FILM = {"explain": "none", "force": "true"}  # as a model in a folder answers: without the gate
_FILM_STATUSES = frozenset({400, 413, 415, 422})


class RunningServer:
    """A model behind an address, see `FinishedModel`.

    Args:
        client: A connection to it.
        name: The name that the model is served under.
        weights: See `opened`.
    """

    folder: Path | None = None

    def __init__(self, client: Client, name: str, weights: Path) -> None:
        self.client, self.name, self.weights = client, name, weights
        self.label = f"{client.url}/predictions/{name}"
        self._card_sha256 = ""

    def training_films(self) -> TrainingFilms | None:
        """The list of the model folder here that has the same card as the server's first answer."""
        for path in sorted(self.weights.glob(f"*/{CARD_FILE}")):
            card = load_card(path.parent, check_weights=False)
            if card.sha256 == self._card_sha256:
                return read_training_films(path.parent, card.weights_sha256)
        return None

    def answer(self, films: Sequence[Film], console: Console) -> Answers:
        """See `FinishedModel`; films go to the server eight at a time, with the facts that are known of each patient.

        Raises:
            DataError: Two answers come from different models.
        """
        answered, problems, answers = [], [], []
        parts: list[Answer | Knee] = []
        with ThreadPoolExecutor(CALLERS) as pool:
            outcomes = pool.map(self._request, films)
            shown = track(outcomes, "answering films", len(films), console=console, disable=not console.is_terminal)
            for film, outcome in zip(films, shown, strict=True):
                part = outcome if isinstance(outcome, str) else _part(next(iter(outcome.values())), film.side)
                if isinstance(outcome, str) or isinstance(part, str):
                    problems.append(f"{film.file}: {part}")
                else:
                    answered.append(film)
                    answers.append(outcome)
                    parts.append(part)
        if not answers:
            table_of((), [], np.empty(0), np.empty(0), problems)
        image = [next(iter(each.values())) for each in answers]
        model = image[0].model
        if any(each.model != model for row in answers for each in row.values()):
            raise DataError(f"{self.label} changed its model while films were answered: start again")
        self._card_sha256, evidence = model.card_sha256, image[0].evidence
        if evidence is None:
            raise DataError(f"{self.label} answers without evidence of what its model knows: it is of an old version")
        labels = tuple(image[0].probabilities)
        refuse_labels(films, labels, self.label)
        how = protocol_of(model.name, model.version)
        values = [_Values.of(each, labels) for each in parts]
        readings = {IMAGE: values}
        for names in FACT_SETS:
            # What fuses is the film's answer, which on a film of both legs is of the worse knee.
            fused = [
                _fused(each, names) if isinstance(part, Answer) else None
                for each, part in zip(answers, parts, strict=True)
            ]
            if sum(each is not None for each in fused) >= MIN_WITH_FACTS:
                # A film whose facts are not known has the answer from fewer facts, or from the image.
                values = [_Values.of(each, labels) if each else less for each, less in zip(fused, values, strict=True)]
                readings[fused_name(names)] = values
        predictors = tuple(_predictor(name, how, values) for name, values in readings.items())
        shares = np.array([values.probabilities for values in readings[IMAGE]])
        t_scores = np.array([values.t_score for values in readings[IMAGE]])
        table = table_of(labels, answered, np.log(np.maximum(shares, 1e-12)), t_scores, problems)
        quality = [(each.quality.reasons, each.quality.corrections) for each in image]
        return Answers(
            model.name, model.version, model.card_sha256, table, predictors, Parameters(), evidence, tuple(problems),
            gate_remarks(answered, quality),
        )  # fmt: skip

    def _request(self, film: Film) -> dict[FactSet, Answer] | str:
        """The answer for each set of facts that is known of the patient, or without any; or why there is none."""
        facts = {
            name: f"{value:g}" for name in ("age", "weight_kg", "height_m") if np.isfinite(value := getattr(film, name))
        }
        facts |= {"sex": film.sex} if film.sex in SEXES else {}
        known: list[FactSet] = [names for names in FACT_SETS if set(names) <= facts.keys()]
        try:
            data = film.path.read_bytes()
            return {
                names: self.client.predict(
                    data, model=self.name, options=_EVERY_FILM | {name: facts[name] for name in names}
                )
                for names in known or [()]
            }
        except OSError as error:
            return error.strerror or str(error)
        except RequestRefused as error:
            if error.status not in _FILM_STATUSES or type(error) is not RequestRefused:
                raise
            return str(error)


@dataclass(frozen=True)
class _Values:
    """One answer as numbers."""

    probabilities: list[float]
    t_score: float
    low: float
    high: float
    zone: str

    @classmethod
    def of(cls, answer: Answer | Fused | Knee, labels: Sequence[str]) -> "_Values":
        score, shares = answer.t_score, answer.probabilities or {}
        low, high = score.interval_90 if score and score.interval_90 else (np.nan, np.nan)
        estimate = score.estimate if score else np.nan
        return cls([shares[label] for label in labels], estimate, low, high, answer.triage or "")


def _part(answer: Answer, side: Side | None) -> Answer | Knee | str:
    """The answer about the row's knee: the film's, or one of two; or why it is not clear which."""
    own = [knee for knee in answer.knees if knee.probabilities]
    if len(own) < 2:
        return answer
    of_side = [knee for knee in own if side and knee.side == side]
    return of_side[0] if of_side else WHICH_KNEE.format(len(own))


def _fused(answers: dict[FactSet, Answer], names: FactSet) -> Fused | None:
    fused = answers[names].fused if names in answers else None
    return fused if fused and set(fused.inputs) == set(names) else None


def _predictor(name: str, protocol: str, values: Sequence[_Values]) -> Predictor:
    facts = [f"; with {FACTS[names]}" for names in FACT_SETS if fused_name(names) == name]
    arrays = [
        np.array([[getattr(each, key) for each in values]])
        for key in ("probabilities", "t_score", "low", "high", "zone")
    ]
    return Predictor(name, "".join([protocol, *facts]), *arrays)
