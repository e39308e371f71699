"""The `osteolens` command: one module per subcommand, put together here."""

from typing import Annotated

import typer

from osteolens import __version__
from osteolens.cli import audit, batch, bench, card, predict, report, serve

app = typer.Typer(
    name="osteolens",
    help="Read knee X-rays for osteoporosis, explain each answer with Grad-CAM, serve it with TorchServe. "
    "Research software, not a diagnostic device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (batch.batch, predict.predict, serve.serve, report.report, audit.audit):
    app.command()(command)
app.add_typer(card.app, name="card")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"osteolens {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
