"""`osteolens predict`: some films answered one by one, by a server or here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osteolens.card import ONNX_FILE, Card, load_card
from osteolens.cli import options
from osteolens.console import EXPORTS, model_folder, one_line_errors, packages_of
from osteolens.errors import CardError, ExportError
from osteolens.schema import Answer

if TYPE_CHECKING:
    from osteolens.cli.answers import Ask
    from osteolens.inference.runtimes import Runtime


@one_line_errors
def predict(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Films: JPEG, PNG, TIFF, BMP, WebP or DICOM.")],
    model: Annotated[
        str, options.model("Name of a served model; with --local a name in weights/ or a model folder.")
    ] = "efficientnet",
    out: Annotated[Path, options.out("Folder for one JSON file per film and its overlays.")] = Path("answers"),
    local: Annotated[bool, typer.Option("--local", "-l", help="Run the model here, without a server.")] = False,
    server: options.Server = None,
    key_file: options.KeyFile = None,
    explain: options.Explain = "gradcam",
    target: options.Target = None,
    age: options.Age = None,
    sex: options.Sex = None,
    weight_kg: options.Weight = None,
    height_m: options.Height = None,
    force: options.Force = False,
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Opacity of the overlay.")] = 0.6,
    json_output: options.Json = False,
) -> None:
    """Answer films; print a table, write answers and overlays.

    Exit status: 0 all answered, 2 wrong usage, 3 some films failed or were not answered, 4 no server at the address.
    """
    from osteolens.cli.answers import predict_films

    texts = options.facts_and_explanation(explain, target, age, sex, weight_kg, height_m, force=force)
    ask = local_asker(model_folder(model)) if local else server_asker(server, key_file, model)
    raise typer.Exit(predict_films(files, ask, texts, out, opacity=opacity, json_output=json_output))


def server_asker(url: str | None, key_file: Path | None, model: str) -> "Ask":
    """A function that sends a film to a running server."""
    from osteolens.client import Client

    client = Client(url, key_file=key_file)
    return lambda path, texts: client.predict(path.read_bytes(), model=model, options=texts)


def local_asker(folder: Path) -> "Ask":
    """A function that runs the model of a folder in this process."""
    card = load_card(folder, check_weights=False)  # the reader checks them; a wrong folder is an error at once
    with packages_of("serve", "--local"):
        from osteolens.cli.answers import printable
        from osteolens.inference.reader import Reader, Request

        runtime, graph = _graph(folder, card), EXPORTS / card.name / ONNX_FILE
        # Slow explanations are allowed: no other request waits for this process.
        reader = Reader(folder, runtime, graph=graph if runtime else None, slow_methods=True)

    def ask(path: Path, texts: Mapping[str, str]) -> Answer:
        return reader.answer(Request(path.read_bytes(), texts, printable(path.name)))

    return ask


def _graph(folder: Path, card: Card) -> "Runtime | None":
    """The graph that a server would answer with, made in a second where it is missing; None for the PyTorch model."""
    from osteolens.inference.runtimes.loading import load_runtime, preferred_backend

    exports, backend, threads = EXPORTS / card.name, preferred_backend(card), 0  # all cores
    try:
        return load_runtime(exports, card, backend, threads)
    except (CardError, ExportError) as error:
        reason = error
    from osteolens.exporting.graph import has_graph, write_graphs

    if not has_graph(folder):
        typer.echo(f"note: answering with PyTorch, which takes seconds to start: {reason}", err=True)
        return None
    # Kept where `export` and `make serve` put it: made once, a second, and then loaded in a twentieth of that.
    write_graphs(folder, exports)
    return load_runtime(exports, card, backend, threads)
