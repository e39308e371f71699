"""`osteolens serve`: TorchServe, and the web app beside it."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors


@one_line_errors
def serve(
    port: Annotated[
        int | None,
        typer.Option(
            envvar="OSTEOLENS_PORT", min=0, max=65535, help="0 for free ones; default: the ports of config.properties."
        ),
    ] = None,
    config: Annotated[Path, typer.Option(help="TorchServe configuration.")] = Path("config.properties"),
    model_store: Annotated[Path | None, typer.Option(help="Archives; default: as configured.")] = None,
    web: Annotated[
        str | None,
        typer.Option(
            envvar="OSTEOLENS_WEB", help="Also run the web app, at this address, such as 127.0.0.1:8000 (port 0: any)."
        ),
    ] = None,
) -> None:
    """Verify the archives, start TorchServe, say how to use it, and stop it all on Ctrl-C."""
    from osteolens.serving import hosting
    from osteolens.serving.torchserve import Server

    hosting.run(Server(config, port=port, model_store=model_store, folder=Path.cwd()), web)
