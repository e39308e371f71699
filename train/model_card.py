"""Write MODEL_CARD.md from weights/ and evidence/: python train/model_card.py."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.training import model_card

ROOT = Path(__file__).resolve().parents[1]


@one_line_errors
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether file, cards and stored predictions agree.")
    ] = False,
    root: Annotated[Path, typer.Option(help="The checkout: holds weights/, evidence/ and MODEL_CARD.md.")] = ROOT,
) -> None:
    """Write MODEL_CARD.md, or check it."""
    if check:
        model_card.check(root)
    else:
        text = model_card.page(root, model_card.gather(root))
        (root / model_card.CARD_PAGE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
