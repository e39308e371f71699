"""The `osteolens` command: one module per subcommand, imported when the subcommand runs."""

import atexit
import gc
import os
import sys

from osteolens import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Scripts ask for it often: importing typer alone would take three times as long as all the rest.
        print(f"osteolens {__version__}")
        return
    # Imports make hundreds of thousands of objects that stay. At Python's own threshold the collector walks all of them
    # again and again, and once more at the end: together a fifth of the time of a short command.
    gc.set_threshold(20_000)
    atexit.register(gc.freeze)
    # Looking for plugins of pydantic reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from osteolens.cli.root import app

    app()
