"""Build the archive that TorchServe serves, and its checksum, from a model folder.

The archive is self-contained: TorchServe's worker finds our package, the card, the weights, the exports and
the handler in it. The same inputs give the same bytes, so an archive can be checked against its sources.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer

import osteolens
from osteolens.card import CARD_FILE, WEIGHTS_FILE, Card, file_sha256, load_card
from osteolens.console import one_line_errors
from osteolens.errors import ExportError

ROOT = Path(__file__).resolve().parents[1]
HANDLER = ROOT / "handlers" / "knee_xray.py"
CONSTRAINTS = ROOT / "constraints.txt"
EXPORTS = ("model.onnx", "model.torchscript.pt")
REQUIREMENTS = (
    "grad-cam", "numpy", "opencv-python-headless", "pillow", "pydantic", "safetensors", "timm", "torch", "torchvision",
)  # fmt: skip
"""What the handler imports. Written in the archive for the record: TorchServe is told not to install it."""

MODEL_CONFIG = """\
# TorchServe lets these win over config.properties.
# A batch forms while a worker is busy; 8 films is where a CPU stops gaining from more.
batchSize: 8
# Milliseconds. A lone request always waits this long; 0 would silently become 100.
maxBatchDelay: 1
# Seconds until a worker that does not answer is restarted; 32 slow films take under 20.
responseTimeout: 60
# Seconds for a worker to import, load and warm up on a busy machine.
startupTimeout: 120
handler:
  # Computing threads per worker, unless OMP_NUM_THREADS is set.
  threads: 1
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    exports: Annotated[Path | None, typer.Option(help="folder with model.onnx and model.torchscript.pt")] = None,
    out: Annotated[Path, typer.Option(help="model store")] = ROOT / "model_store",
    force: Annotated[bool, typer.Option(help="build even when nothing has changed")] = False,
) -> None:
    """Write NAME.mar and NAME.mar.sha256 into the model store."""
    card = load_card(model)
    files = collect(model, exports or ROOT / "build" / card.name)
    archive, inputs = out / f"{card.name}.mar", digest(card, files)
    if not force and is_current(archive, inputs):
        typer.echo(f"{archive} is up to date")
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".build-") as folder:
        built = normalise(pack(card, files, Path(folder)), Path(folder) / "normalised.mar", inputs)
        checksum = Path(folder) / "checksum"
        checksum.write_text(f"{file_sha256(built)}  {archive.name}\n")
        os.replace(checksum, checksum_of(archive))
        os.replace(built, archive)
    typer.echo(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")


def collect(model: Path, exports: Path) -> dict[str, bytes]:
    """Everything that goes into the archive: name inside it to content."""
    package = Path(osteolens.__file__).parent
    sources = [path for path in package.rglob("*") if path.suffix == ".py" or path.name == "py.typed"]
    files = {f"osteolens/{path.relative_to(package)}": path for path in sources}
    files |= {name: model / name for name in (CARD_FILE, WEIGHTS_FILE)}
    files |= {name: exports / name for name in EXPORTS if (exports / name).is_file()}
    files[HANDLER.name] = HANDLER
    written = {"model-config.yaml": MODEL_CONFIG.encode(), "requirements.txt": requirements().encode()}
    return {name: path.read_bytes() for name, path in files.items()} | written


def requirements() -> str:
    """The exact version of each package the handler needs.

    Raises:
        ExportError: A package has no pin.
    """
    if not CONSTRAINTS.is_file():
        raise ExportError(f"no {CONSTRAINTS}: the archive records the versions it was built for")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    missing = [name for name in REQUIREMENTS if name not in pins]
    if missing:
        raise ExportError(f"{CONSTRAINTS.name} has no pin for {', '.join(missing)}")
    return "".join(f"{name}=={pins[name]}\n" for name in REQUIREMENTS)
