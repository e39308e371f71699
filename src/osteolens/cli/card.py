"""`osteolens card`: model cards as tables."""

from collections.abc import Iterator
from typing import Annotated

import typer

from osteolens.card import Card, load_card
from osteolens.cli import options
from osteolens.console import model_folder, one_line_errors
from osteolens.inference.calibration import describe_parameters

app = typer.Typer(help="Look at model cards.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
@one_line_errors
def show(
    model: Annotated[str, options.model_argument()] = "efficientnet",
    json_output: options.Json = False,
) -> None:
    """Show what a model is, what it was trained on and how well it does."""
    card = load_card(model_folder(model))
    if json_output:
        typer.echo(card.model_dump_json(indent=2))
        return
    from rich.console import Console
    from rich.table import Column, Table

    console, facts = Console(), Table(Column(), Column(overflow="fold"), show_header=False)
    facts.title = f"{card.name} {card.version}"
    for name, meaning in _facts(card):
        facts.add_row(name, meaning)
    console.print(facts)
    for evaluation in card.evaluations:
        table = Table(
            Column("metric", overflow="fold"),
            "value",
            "95 % interval",
            title=evaluation.subject,
            caption=evaluation.protocol,
        )
        for metric in evaluation.metrics:
            table.add_row(metric.name, f"{metric.value:.3f}", f"{metric.low:.3f} to {metric.high:.3f}")
        console.print(table)


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    """Names and texts of the table's rows."""
    yield "architecture", card.architecture
    yield "labels", ", ".join(card.labels)
    yield "input", f"{card.preprocess.height} x {card.preprocess.width} pixels"
    yield "T-score", "yes" if card.has_t_score else "no"
    yield from describe_parameters(card)
    yield "trained on", f"{card.data.name} {card.data.source} ({card.data.licence})"
    yield "split", card.data.split
    if card.parent:
        parent = f"{card.parent.name} {card.parent.version}, card sha256 {card.parent.card_sha256}"
        yield "recalibrated from", f"{parent}, on {card.parent.place}"
    yield "films", ", ".join(f"{part} {count}" for part, count in card.data.films.items())
    yield "use", card.intended_use
    yield "licence", card.licence
    yield "card sha256", card.sha256
