"""Build the archive that TorchServe serves, and its checksum, from a model folder and its exports."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.card import load_card
from osteolens.console import one_line_errors
from osteolens.exporting.archive import build_archive
from osteolens.inference.runtimes import Backend

ROOT = Path(__file__).resolve().parents[1]


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    exports: Annotated[Path | None, typer.Option(help="folder with the exported files [default: build/NAME]")] = None,
    out: Annotated[Path, typer.Option(help="model store")] = ROOT / "model_store",
    backend: Annotated[
        Backend | None, typer.Option(help="what answers [default: onnx-int8 where the card accepts it, else onnx-fp32]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="build even when nothing has changed")] = False,
) -> None:
    """Write NAME.mar and NAME.mar.sha256 into the model store."""
    exports = exports or ROOT / "build" / load_card(model).name
    archive, written = build_archive(model, exports, out, ROOT, backend, force=force)
    size = f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)"
    typer.echo(size if written else f"{archive} is up to date")


if __name__ == "__main__":
    typer.run(main)
