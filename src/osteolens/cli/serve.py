"""`osteolens serve`: an engine that serves the archives, and the web app beside it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from osteolens import places
from osteolens.console import one_line_errors, packages_of

WEB_ADDRESS = "127.0.0.1:8000"


@one_line_errors
def serve(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            envvar="OSTEOLENS_PORT",
            min=0,
            max=65535,
            help="0 for free ones; default: the ports of config.properties.",
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
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="Configuration of either engine; default: config.properties, as it comes with OsteoLens.",
        ),
    ] = None,
    model_store: Annotated[Path | None, typer.Option(help="Archives; default: as configured.")] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar=places.HOME_VARIABLE,
            help="Folder for archives, keys, logs and the app's films; default: in a checkout the working folder, else "
            "the user's folder for data.",
        ),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Also run the web app.")] = False,
    web_address: Annotated[
        str | None,
        typer.Option(
            envvar="OSTEOLENS_WEB",
            help=f"Run the web app at this address; default with --web: {WEB_ADDRESS} (port 0: any).",
        ),
    ] = None,
    add_explanations: Annotated[
        bool,
        typer.Option(
            "--add-explanations",
            envvar="OSTEOLENS_ADD_EXPLANATIONS",
            help="Install what explanations other than Grad-CAM need (PyTorch) while the server already answers.",
        ),
    ] = False,
) -> None:
    """Verify the archives, start the engine, say how to use it, and stop it all on Ctrl-C."""
    with packages_of("serve", "a server"):
        from osteolens.exporting.archive import archive_shipped
        from osteolens.serving import hosting
        from osteolens.serving.torchserve import CONFIG

    address = web_address or (WEB_ADDRESS if web else None)
    tls = hosting.tls_files(certificate, private_key, address)
    server_class = hosting.server_class(engine)
    folder = places.home(home)
    if folder != Path():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if config is None and model_store is None:
            model_store = archive_shipped(folder)
        config = config or places.shipped() / CONFIG
    server = server_class(config or CONFIG, port=port, model_store=model_store, folder=folder.absolute(), tls=tls)
    hosting.run(server, address, add_explanations=add_explanations)
