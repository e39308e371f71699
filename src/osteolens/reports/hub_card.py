"""A model's card as model hubs have them: Markdown with facts in YAML ahead, from the same card."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from osteolens.card import Card, Metric, load_card
from osteolens.evaluation.predictors import IMAGE
from osteolens.evidence import evidence_of, question_of
from osteolens.files import write_text
from osteolens.inference.calibration import describe_parameters
from osteolens.reports.figures import key_figures, table, with_interval

FILE = "README.md"
_TAGS = ["medical-imaging", "x-ray", "knee", "osteoporosis", "grad-cam"]


def write_hub_card(folder: Path) -> Path:
    """Write `README.md` into a model folder; the page of a model hub is made from it."""
    path = folder / FILE
    write_text(path, str(hub_card(load_card(folder))) + "\n")
    return path


def hub_card(card: Card) -> ModelCard:
    """The card's facts and figures, and what they are worth: the baselines stand beside them."""
    names = [metric.name for each in card.evaluations[:1] for metric in each.metrics]
    shown = key_figures(names)
    figures = {each.subject: {metric.name: metric for metric in each.metrics} for each in card.evaluations}
    results = [
        EvalResult(
            task_type="image-classification",
            task_name=f"{question_of(card.labels, card.border)} from a knee X-ray, the image alone",
            dataset_type="films",
            dataset_name=card.data.name,
            metric_type=name,
            metric_name=f"{name}, 95 % interval {with_interval(figures[IMAGE][name], 3)}",
            metric_value=round(figures[IMAGE][name].value, 4),
        )
        for name in shown
        if IMAGE in figures
    ]
    data = ModelCardData(
        license=card.licence.lower().removesuffix("-or-later"),
        library_name="osteolens",
        tags=_TAGS,
        model_name=f"{card.name} {card.version}",
        eval_results=results or None,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(card, shown, figures)}")


def _text(card: Card, shown: list[str], figures: dict[str, dict[str, Metric]]) -> str:
    rows = [[subject, *(_cell(metrics.get(name)) for name in shown)] for subject, metrics in figures.items()]
    facts = [
        ["architecture", ", ".join(card.members) or card.architecture],
        ["labels", ", ".join(card.labels)],
        ["trained on", f"{card.data.name} {card.data.source} ({card.data.licence or 'no licence stated'})"],
        ["split", card.data.split],
        *([name, meaning] for name, meaning in describe_parameters(card)),
    ]
    protocols = [
        f"- {each.subject}: {each.films} films of {each.groups} groups; {each.protocol}." for each in card.evaluations
    ]
    return "\n\n".join(
        [
            f"# {card.name} {card.version}",
            card.intended_use,
            evidence_of(card).leading,
            table(["", ""], facts),
            "## Figures",
            "95 % intervals in brackets.",
            table(["", *shown], rows),
            "\n".join(protocols),
        ]
    )


def _cell(metric: Metric | None) -> str:
    return with_interval(metric) if metric else "-"
