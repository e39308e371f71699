"""Build the archive that TorchServe serves, and its checksum, from a model folder.

The archive is self-contained: TorchServe's worker finds our package, the card, the weights, the exports and
the handler in it. The same inputs give the same bytes, so an archive can be checked against its sources.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

import osteolens
from osteolens.card import CARD_FILE, WEIGHTS_FILE, Card, file_sha256, load_card
from osteolens.console import one_line_errors
from osteolens.errors import ExportError
from osteolens.files import write_text
from osteolens.inference.runtimes import BACKENDS, Backend, load_runtime
from osteolens.inference.runtimes.loading import FILES
from osteolens.serving.model_store import read_checksum

ROOT = Path(__file__).resolve().parents[1]
HANDLER = ROOT / "handlers" / "knee_xray.py"
SITECUSTOMIZE = ROOT / "handlers" / "sitecustomize.py"
CONSTRAINTS = ROOT / "constraints.txt"
CONFIG_FILE, REQUIREMENTS_FILE, MANIFEST = "model-config.yaml", "requirements.txt", "MAR-INF/MANIFEST.json"
EXPORTERS: dict[Backend, str] = {
    "onnx-int8": "export/to_onnx.py", "onnx-fp32": "export/to_onnx.py", "torchscript": "export/to_torchscript.py"
}  # fmt: skip
NEEDED = (
    "grad-cam", "imagecodecs", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "safetensors",
    "simplejpeg", "timm", "torch", "torchvision", "ultralytics-opencv-headless",
)  # fmt: skip
"""What the handler imports. Written in the archive for the record: TorchServe is told not to install it."""

MODEL_CONFIG = """\
# TorchServe lets these win over config.properties.
# Requests that a busy worker finds waiting would be handed to it together, up to this many. On two cores 4 (with a
# delay of 1 ms, which a lone request pays in full) and 1 gave 175 and 173 films a second at 8 callers, but 12.8 and
# 11.2 ms for one request at a time and 73 and 54 ms for the slowest hundredth at 8 (one run each).
batchSize: 1
# Milliseconds that a batch which is not full waits; not used by batches of one. 0 would silently become 100.
maxBatchDelay: 1
# Seconds until a worker that does not answer is restarted: 32 slow films in one request take under 20.
responseTimeout: 60
# Seconds a worker may take to import, load and warm up: some 10, more on a busy machine.
startupTimeout: 120
handler:
  # What answers and draws the default heat map; other explanations come from the eager model, loaded when first
  # asked for. export/build_mar.py --backend chooses: {backends}.
  backend: {backend}
  # Computing threads per worker, unless OMP_NUM_THREADS is set.
  threads: 1
  # As many for an ONNX graph while no other worker of this model is busy.
  threads_alone: 2
"""


@one_line_errors
def main(
    model: Annotated[Path, typer.Argument(help="model folder, for example weights/efficientnet")],
    exports: Annotated[
        Path | None, typer.Option(help="folder with model.onnx and model.torchscript.pt [default: build/NAME]")
    ] = None,
    out: Annotated[Path, typer.Option(help="model store")] = ROOT / "model_store",
    backend: Annotated[
        Backend | None, typer.Option(help="what answers [default: onnx-int8 where the card accepts it, else onnx-fp32]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="build even when nothing has changed")] = False,
) -> None:
    """Write NAME.mar and NAME.mar.sha256 into the model store."""
    card = load_card(model)
    exports = exports or ROOT / "build" / card.name
    files = collect(model, exports, backend or preferred_backend(card))
    archive, inputs = out / f"{card.name}.mar", digest(files)
    if not force and is_current(archive, inputs):
        typer.echo(f"{archive} is up to date")
        return
    check_exports(card, files, exports)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".build-") as folder:  # hidden: TorchServe leaves it alone
        built = normalise(pack(card, files, Path(folder)), Path(folder) / "archive", comment=inputs)
        checksum = file_sha256(built)
        built.replace(archive)
        write_text(checksum_of(archive), f"{checksum}  {archive.name}\n")
    typer.echo(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")


def preferred_backend(card: Card) -> Backend:
    """The fastest backend whose answers are the model's."""
    return "onnx-int8" if card.accepts("int8") else "onnx-fp32"


def collect(model: Path, exports: Path, backend: Backend) -> dict[str, bytes]:
    """Everything that goes into the archive: name inside it to content.

    Raises:
        ExportError: The backend's file is not among the exports.
    """
    package = Path(osteolens.__file__).parent
    sources = [path for path in package.rglob("*") if path.suffix == ".py" or path.name == "py.typed"]
    paths = {f"osteolens/{path.relative_to(package)}": path for path in sources}
    paths |= {name: exports / name for name in FILES.values() if (exports / name).is_file()}
    if backend in FILES and FILES[backend] not in paths:
        raise ExportError(f"no {FILES[backend]} in {exports} for the backend {backend}: run {EXPORTERS[backend]} first")
    own = (model / CARD_FILE, model / WEIGHTS_FILE, HANDLER, SITECUSTOMIZE)
    paths |= {path.name: path for path in own}
    config = MODEL_CONFIG.format(backend=backend, backends=", ".join(BACKENDS))
    written = {CONFIG_FILE: config.encode(), REQUIREMENTS_FILE: requirements().encode()}
    return {name: path.read_bytes() for name, path in paths.items()} | written


def check_exports(card: Card, files: Collection[str], exports: Path) -> None:
    """Load every exported file that goes into the archive as a worker will.

    Raises:
        CardError, ExportError: One was exported from another card or is damaged; the message names the command.
    """
    for backend, file in FILES.items():
        if file in files:
            load_runtime(exports, card, backend)


def requirements() -> str:
    """The exact version of each package that the handler needs.

    Raises:
        ExportError: There is no pin for one of them.
    """
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    missing = [name for name in NEEDED if name not in pins]
    if missing:
        raise ExportError(f"{CONSTRAINTS.name} has no pin for {', '.join(missing)}")
    return "".join(f"{name}=={pins[name]}\n" for name in NEEDED)


def digest(files: dict[str, bytes]) -> str:
    """Hash of all that decides the archive's bytes: what goes in, and this script."""
    total = hashlib.sha256(Path(__file__).read_bytes())
    for name in sorted(files):
        total.update(f"{name}:{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return total.hexdigest()


def checksum_of(archive: Path) -> Path:
    """Where the checksum of an archive is."""
    return archive.with_name(f"{archive.name}.sha256")


def is_current(archive: Path, inputs: str) -> bool:
    """Whether the archive is whole and was built from these inputs (their hash is the zip file's comment)."""
    if not archive.is_file() or not checksum_of(archive).is_file():
        return False
    if read_checksum(checksum_of(archive)) != file_sha256(archive):
        return False
    with zipfile.ZipFile(archive) as stored:
        return stored.comment == inputs.encode()


def pack(card: Card, files: dict[str, bytes], folder: Path) -> Path:
    """Let torch-model-archiver write the archive into a folder of its own, and return its path."""
    stage, temporary = folder / "stage", folder / "tmp"
    named = {HANDLER.name, WEIGHTS_FILE, CONFIG_FILE, REQUIREMENTS_FILE}
    for name, content in files.items():
        path = stage / name if name in named else stage / "extra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    temporary.mkdir()
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", card.name, "--version", card.version, "--export-path", str(folder),
        "--handler", str(stage / HANDLER.name), "--serialized-file", str(stage / WEIGHTS_FILE),
        "--config-file", str(stage / CONFIG_FILE), "--requirements-file", str(stage / REQUIREMENTS_FILE),
        "--extra-files", str(stage / "extra"),  # given as a folder, its children are copied
    ]  # fmt: skip
    # The archiver empties and reuses <temporary folder>/<model name>: two builds must not share it.
    run = subprocess.run(command, env=os.environ | {"TMPDIR": str(temporary)}, capture_output=True, text=True)
    if run.returncode:
        raise ExportError(f"torch-model-archiver failed: {run.stderr.strip().splitlines()[-1:]}")
    return folder / f"{card.name}.mar"


def normalise(archive: Path, target: Path, *, comment: str) -> Path:
    """Rewrite an archive so that the same content gives the same bytes, and return the new file's path."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as rewritten:
        rewritten.comment = comment.encode()
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == MANIFEST:
                content = json.dumps(json.loads(content) | {"createdOn": ""}, indent=2, sort_keys=True).encode()
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.external_attr = 0o644 << 16
            rewritten.writestr(entry, content)
    return target


if __name__ == "__main__":
    typer.run(main)
