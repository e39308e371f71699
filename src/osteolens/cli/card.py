"""`osteolens card`: model cards as tables."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from osteolens.card import Card, load_card
from osteolens.console import model_folder, one_line_errors
from osteolens.inference.calibration import describe_parameters

app = typer.Typer(help="Look at model cards.", no_args_is_help=True)


@app.command("show")
@one_line_errors
def show(
    model: Annotated[str, typer.Argument(help="A name in weights/ or a model folder.")] = "efficientnet",
    json_output: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show what a model is, what it was trained on and how well it does."""
    card = load_card(model_folder(model))
    if json_output:
        typer.echo(card.model_dump_json(indent=2))
        return
    console = Console()
    console.print(_facts(card))
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


def _facts(card: Card) -> Table:
    table = Table(Column(), Column(overflow="fold"), show_header=False, title=f"{card.name} {card.version}")
    table.add_row("architecture", card.architecture)
    table.add_row("labels", ", ".join(card.labels))
    table.add_row("input", f"{card.preprocess.height} x {card.preprocess.width} pixels")
    table.add_row("T-score", "yes" if card.has_t_score else "no")
    for name, meaning in describe_parameters(card):
        table.add_row(name, meaning)
    table.add_row("trained on", f"{card.data.name} {card.data.source} ({card.data.licence})")
    table.add_row("split", card.data.split)
    if card.parent:
        parent = f"{card.parent.name} {card.parent.version}, card sha256 {card.parent.card_sha256}"
        table.add_row("recalibrated from", f"{parent}, on {card.parent.place}")
    table.add_row("films", ", ".join(f"{part} {count}" for part, count in card.data.films.items()))
    table.add_row("use", card.intended_use)
    table.add_row("licence", card.licence)
    table.add_row("card sha256", card.sha256)
    return table
