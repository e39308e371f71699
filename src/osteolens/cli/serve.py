"""`osteolens serve`: an engine that serves the archives, and the web app beside it."""

from pathlib import Path
from typing import Annotated, Literal

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
    engine: Annotated[
        Literal["torchserve", "uvicorn"],
        typer.Option(
            envvar="OSTEOLENS_ENGINE", help="Both serve the same archives in the same way; uvicorn needs no Java."
        ),
    ] = "torchserve",
    certificate: Annotated[
        Path | None, typer.Option(help="Serve films over TLS with this PEM certificate (and its chain).")
    ] = None,
    private_key: Annotated[Path | None, typer.Option(help="The certificate's key, PEM in PKCS 8.")] = None,
    config: Annotated[Path, typer.Option(help="Configuration of either engine.")] = Path("config.properties"),
    model_store: Annotated[Path | None, typer.Option(help="Archives; default: as configured.")] = None,
    web: Annotated[
        str | None,
        typer.Option(
            envvar="OSTEOLENS_WEB", help="Also run the web app, at this address, such as 127.0.0.1:8000 (port 0: any)."
        ),
    ] = None,
) -> None:
    """Verify the archives, start the engine, say how to use it, and stop it all on Ctrl-C."""
    from osteolens.serving import hosting

    tls = hosting.tls_files(certificate, private_key, web)
    server = hosting.server_class(engine)
    hosting.run(server(config, port=port, model_store=model_store, folder=Path.cwd(), tls=tls), web)
