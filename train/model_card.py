"""Write MODEL_CARD.md and the pages in weights/ and evidence/: python train/model_card.py."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.files import write_text
from osteolens.reports import model_card, shipped

ROOT = Path(__file__).resolve().parents[1]


@one_line_errors
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where pages, cards and stored predictions disagree.")
    ] = False,
    root: Annotated[Path, typer.Option(help="The checkout: holds weights/ and evidence/.")] = ROOT,
) -> None:
    """Write MODEL_CARD.md, weights/*/README.md and evidence/README.md, or check them."""
    if check:
        model_card.check(root)
    else:
        for path, text in model_card.documents(root, shipped.gather(root)).items():
            (root / path).parent.mkdir(exist_ok=True)
            write_text(root / path, text)


if __name__ == "__main__":
    typer.run(main)
