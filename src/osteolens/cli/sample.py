"""`osteolens sample`: a drawn film to try things with."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.cli import options
from osteolens.console import one_line_errors


@one_line_errors
def sample(
    out: Annotated[Path, options.out("The JPEG file.")] = Path("knee.jpg"),
    seed: Annotated[int, typer.Option(min=0, help="Random seed: another knee for each number.")] = 0,
) -> None:
    """Write a drawn film, which shows nobody's knee."""
    from osteolens.films.sample import write_sample

    write_sample(out, seed)
    typer.echo(f"written to {out}; answer it with: osteolens predict {out}")
