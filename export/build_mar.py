"""Build the archive that TorchServe serves: python export/build_mar.py weights/efficientnet."""

import typer

from osteolens.cli.archive import archive

if __name__ == "__main__":
    typer.run(archive)
