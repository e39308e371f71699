"""Write MODEL_CARD.md from weights/ and evidence/: python train/model_card.py."""

from pathlib import Path
from typing import Annotated

import typer

from osteolens.console import one_line_errors
from osteolens.reports import model_card

ROOT = Path(__file__).resolve().parents[1]


@one_line_errors
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether file, cards and stored predictions agree.")
    ] = False,
    cards: Annotated[
        bool,
        typer.Option(
            "--cards",
            help="First put figures, calibration and thresholds from the stored predictions into weights/*/card.json "
            "where they disagree, as for a model of train/fit.py, whose card holds those of its own split.",
        ),
    ] = False,
    root: Annotated[Path, typer.Option(help="The checkout: holds weights/, evidence/ and MODEL_CARD.md.")] = ROOT,
) -> None:
    """Write MODEL_CARD.md, or check it."""
    if check:
        model_card.check(root)
    else:
        for name in model_card.update_cards(root) if cards else ():
            typer.echo(f"written weights/{name}/card.json")
        text = model_card.page(root, model_card.gather(root))
        (root / model_card.CARD_PAGE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
