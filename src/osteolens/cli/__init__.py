"""The `osteolens` command: one module per subcommand, imported when the subcommand runs."""

import sys

from osteolens import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Scripts ask for it often: importing typer alone would take three times as long as all the rest.
        print(f"osteolens {__version__}")
        return
    from osteolens.cli.root import app

    app()
