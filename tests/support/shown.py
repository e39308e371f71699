"""Figures of a card by which its model was shown to know something, or not."""

from osteolens.card import Card, Evaluation, Metric
from osteolens.evidence import AnswerEvidence, evidence_of, question_of, subject_of
from osteolens.labels import LABELS
from osteolens.parameters import Fusion, PatientFact

AGE_AND_SEX: tuple[PatientFact, ...] = ("age", "sex")


def evaluation(subject: str, areas: dict[str, tuple[float, float, float]]) -> Evaluation:
    """AUROC with interval (value, low, high) by question."""
    metrics = [Metric(name=f"AUROC {name}", value=v, low=low, high=high) for name, (v, low, high) in areas.items()]
    return Evaluation(subject=subject, protocol="made up", films=40, groups=38, metrics=tuple(metrics))


def shown(card: Card, low: float = 0.7, *, fused: float | None = 0.75) -> Card:
    """The card with AUROCs whose intervals begin at `low` for the film alone, and at `fused` with facts."""
    question = question_of(card.labels)
    figures = [evaluation(subject_of(()), {question: (low + 0.1, low, low + 0.2)})]
    if fused is not None:
        figures += [evaluation(subject_of(each.inputs), {question: (0.85, fused, 0.95)}) for each in card.fusion]
    return card.model_copy(update={"evaluations": tuple(figures)})


def bare_card(*fused: tuple[PatientFact, ...], labels: tuple[str, ...] = LABELS) -> Card:
    """A card without figures, and with a fusion for each set of facts."""
    facts = {"name": "m", "architecture": "resnet18", "labels": labels, "has_t_score": False, "preprocess": {}}
    data = {"name": "Made-up films", "split": "none", "films": {}, "groups": {}}
    card = Card.model_validate(facts | {"weights_sha256": "0" * 64, "data": data})
    fusions = [Fusion(inputs=inputs, intercepts=(0.0,) * len(labels), coefficients={}) for inputs in fused]
    return card.model_copy(update={"fusion": tuple(fusions)})


def evidence(
    low: float, *, fused: float | None = None, inputs: tuple[PatientFact, ...] = AGE_AND_SEX
) -> AnswerEvidence:
    """Evidence of a model for osteoporosis whose intervals begin at `low`, and at `fused` with facts."""
    return evidence_of(shown(bare_card(*([inputs] if fused is not None else [])), low, fused=fused))
