"""`osteolens archive`: what TorchServe serves, from a model folder and its exports."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from osteolens.card import load_card
from osteolens.cli import options
from osteolens.console import EXPORTS, MODEL_STORE, model_folder, one_line_errors, packages_of
from osteolens.places import shipped


@one_line_errors
def archive(
    model: Annotated[str, options.model_argument()],
    exports: Annotated[
        Path | None, typer.Option(help="Folder of the exported files; default: build/NAME, where `export` writes.")
    ] = None,
    out: Annotated[Path, options.out("The model store.")] = MODEL_STORE,
    backend: Annotated[
        Literal["onnx-int8", "onnx-fp32", "torchscript", "eager"] | None,
        typer.Option(help="What answers; default: onnx-int8 where the card accepts it, else onnx-fp32."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even when nothing has changed.")] = False,
) -> None:
    """Build NAME.mar and NAME.mar.sha256 in the model store, from a model's card, weights and exported graphs."""
    folder = model_folder(model)
    exports = exports or EXPORTS / load_card(folder).name
    with packages_of("serve", "an archive"):
        from osteolens.exporting.archive import build_archive

        path, written = build_archive(folder, exports, out, shipped(), backend, force=force)
    size = f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)"
    typer.echo(size if written else f"{path} is up to date")
