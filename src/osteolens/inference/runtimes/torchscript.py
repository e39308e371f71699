"""An exported TorchScript module."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from osteolens.card import CARD_FILE, Card
from osteolens.errors import CardError, ExportError
from osteolens.inference.runtimes.base import Prediction


class TorchScriptRuntime:
    """Answers with a file that `osteolens export --format torchscript` wrote.

    Args:
        path: The file.
        card: The card that the file must have been exported from.

    Raises:
        ExportError: No such file, or not TorchScript.
        CardError: The file was exported from another card; both hashes are named.
    """

    def __init__(self, path: Path, card: Card) -> None:
        again = f"export it again: osteolens export weights/{card.name} --format torchscript"
        extra = {CARD_FILE: ""}
        try:
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{path} cannot be loaded: {str(error).splitlines()[0]}; {again}") from error
        exported = Card.model_validate_json(extra[CARD_FILE])
        if exported.sha256 != card.sha256:
            raise CardError(
                f"{path} does not belong to its card: it was exported from a card with sha256 {exported.sha256}, "
                f"the card of {card.name} has {card.sha256}; {again}"
            )
        self.module = module.eval()

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        with torch.no_grad():
            outputs = self.module(torch.from_numpy(films))
        return Prediction(*(output.numpy() for output in outputs))
