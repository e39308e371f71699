"""All subcommands by name. Asking for help or for the version imports none of them."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from osteolens import __version__
from osteolens.console import Status

SECTIONS: dict[str, dict[str, str]] = {
    "Read films": {
        "predict": "Answer some films: a table, JSON files and overlays.",
        "batch": "Answer any number of films: tables, a page and overlays.",
        "dicom": "Answer DICOM films with DICOM objects: picture, map, report and page.",
        "dicomweb": "Answer films of an archive, and store the answers there.",
        "deidentify": "Copy DICOM films without the patient's identity.",
        "serve": "Start the server, and the web app beside it.",
        "key": "Show, find, renew and make the keys that a server asks for.",
        "sample": "Write a drawn film to try things with.",
    },
    "Train and check models": {
        "audit": "Look for leaks, copies and shortcuts in films for training.",
        "train": "Train a model, measured on groups that it never saw.",
        "crossval": "Train a model per fold, and answer every film out of fold.",
        "study": "Go from a table of films to a model that can be served.",
        "evaluate": "Measure a model on labelled films of another place.",
        "recalibrate": "Fit a model's calibration and thresholds to another place.",
        "plan": "Say how many patients a study would need.",
        "report": "Write a page of all that is known of a trained model.",
        "card": "Show what a model is and how well it performs.",
    },
    "Ship models": {
        "quantise": "Compare int8 with fp32, and allow it where answers stay.",
        "export": "Write a model's graph, checked against the model.",
        "archive": "Build what TorchServe serves from a model and its graphs.",
        "bench": "Measure how fast models and servers answer.",
    },
    "Look after it": {
        "doctor": "Say what is installed and in order, and how to fix the rest.",
    },
}
"""Each subcommand with its line in the help. `osteolens.cli.NAME` defines `app`, a Typer, or else the function NAME."""

COMMANDS = {name: line for section in SECTIONS.values() for name, line in section.items()}


class _Commands(TyperGroup):
    """A group that imports a subcommand when it is called, and shows its help from the table."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = names  # for "Did you mean ...?", which looks at nothing but the names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is typer's
        if cmd_name not in COMMANDS:
            return None
        # Only now, and only this one: all of them together would import half of the library for one line of help.
        module = import_module(f"osteolens.cli.{cmd_name}")
        if hasattr(module, "app"):
            return typer.main.get_group(module.app)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(cmd_name)(getattr(module, cmd_name))
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_max=max(map(len, COMMANDS)))
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status.value), status.meaning.replace("`", "")) for status in Status])


app = typer.Typer(
    cls=_Commands,
    name="osteolens",
    help="Read knee X-rays for osteoporosis, explain each answer with Grad-CAM, serve it with TorchServe. "
    "Research software, not a diagnostic device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: rich takes a tenth of a second to import, and its boxes cannot be searched or pasted well.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"osteolens {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
