"""Where a backend's exported file is; missing ones are made."""

from pathlib import Path

from osteolens.bench.plan import OPENVINO
from osteolens.card import Card
from osteolens.errors import BenchmarkError
from osteolens.inference.runtimes.loading import INT8_FILE, ONNX_FILE, TORCHSCRIPT_FILE

BUILD = Path("build")
FILES = {
    "torchscript": TORCHSCRIPT_FILE,
    "onnx-fp32": ONNX_FILE,
    "onnx-int8": INT8_FILE,
    **dict.fromkeys(OPENVINO, ONNX_FILE),
}
"""Exported file of each backend; the others start from the model folder."""


class Exports:
    """The exported files of one model.

    Args:
        model: Model folder.
        card: Its card.
        folder: Where `export/` left its files; default `build/<name>`.
        made: Folder for what is missing there.

    Raises:
        BenchmarkError: A folder that was named is not there.
    """

    def __init__(self, model: Path, card: Card, folder: Path | None, made: Path) -> None:
        if folder and not folder.is_dir():
            raise BenchmarkError(f"there is no folder {folder}: --exports takes one such as {BUILD / card.name}")
        self.model, self.folder, self.made = model, folder or BUILD / card.name, made

    def folder_of(self, backend: str) -> Path | None:
        """The folder that holds the backend's file (any for one without); none where it is not there.

        A missing graph or TorchScript module is made, a quantized graph is not: how it was calibrated is a choice.

        Raises:
            ExportError, CardError: It cannot be made.
        """
        file = FILES.get(backend)
        for folder in (self.folder, self.made):
            if file is None or (folder / file).is_file():
                return folder
        if file == INT8_FILE:
            return None
        from osteolens.exporting.export import to_onnx, to_torchscript

        write = to_onnx if file == ONNX_FILE else to_torchscript
        return write(self.model, self.made).parent
