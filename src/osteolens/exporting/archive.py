"""The archive that TorchServe serves, and its checksum, from a model folder and its exports.

The archive is self-contained: a worker finds the part of our package that it imports, the card, the weights, the graphs
and the handler in it. The same inputs give the same bytes, so an archive can be checked against its sources.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

import osteolens
from osteolens.card import (
    CARD_FILE,
    FILMS_FILE,
    FINDER_FILE,
    INT8_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    Card,
    file_sha256,
    load_card,
)
from osteolens.errors import ExportError
from osteolens.exporting.graph import up_to_date, write_graphs
from osteolens.files import write_text
from osteolens.films.gate import GATE_FILES, find_gate
from osteolens.films.joints import finder_beside
from osteolens.inference.familiarity import FAMILIARITY_FILE
from osteolens.inference.runtimes import BACKENDS, Backend, load_runtime
from osteolens.inference.runtimes.loading import EXPORTERS, FILES, preferred_backend
from osteolens.places import shipped
from osteolens.serving.model_store import read_checksum

SHIPPED = (
    "__init__.py", "py.typed", "card.py", "errors.py", "evidence.py", "files.py", "labels.py", "options.py",
    "parameters.py", "quality.py", "rows.py", "schema.py", "films", "models", "inference", "serving/__init__.py",
    "serving/metrics.py", "serving/requests.py", "serving/worker.py",
)  # fmt: skip
"""What a worker imports of the package. A change of anything else, the audit for example, leaves archives current."""

HANDLERS = ("knee_xray.py", "sitecustomize.py")
CONFIG_FILE, REQUIREMENTS_FILE, MANIFEST = "model-config.yaml", "requirements.txt", "MAR-INF/MANIFEST.json"
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
  # asked for. `osteolens archive --backend` chooses: {backends}.
  backend: {backend}
  # Computing threads per worker, unless OMP_NUM_THREADS is set.
  threads: 1
  # As many for an ONNX graph while no other worker of this model is busy.
  threads_alone: 2
"""


def build_archive(
    model: Path, exports: Path, store: Path, checkout: Path, backend: Backend | None = None, *, force: bool = False
) -> tuple[Path, bool]:
    """Write NAME.mar and NAME.mar.sha256 into a model store, unless they are there and nothing has changed.

    Args:
        model: Model folder.
        exports: Folder with its exported files.
        store: The model store; it is made where it is missing.
        checkout: Holds handlers/ and constraints.txt, see `osteolens.places.shipped`.
        backend: What answers; default: the fastest whose answers are the model's.
        force: Write them even if nothing has changed.

    Returns:
        The archive, and whether it was written.

    Raises:
        CardError, ExportError: A file is missing, damaged or another model's; the message names the command that makes
            it. An archive that was there stays.
    """
    card = load_card(model)
    files = collect(model, exports, checkout, backend or preferred_backend(card))
    archive, inputs = store / f"{card.name}.mar", digest(files)
    if not force and is_current(archive, inputs):
        return archive, False
    check_exports(card, files, exports)
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".build-") as folder:  # hidden: TorchServe leaves it alone
        built = normalise(pack(card, files, Path(folder)), Path(folder) / "archive", comment=inputs)
        checksum = file_sha256(built)
        built.replace(archive)
        write_text(checksum_of(archive), f"{checksum}  {archive.name}\n")
    return archive, True


def archive_shipped(home: Path) -> Path:
    """Build the archives of the models that come with OsteoLens, where they are missing or out of date.

    Args:
        home: Gets `model_store` and, with the graphs, `build`.

    Returns:
        The model store.
    """
    store = home / "model_store"
    for model in sorted(path.parent for path in (shipped() / "weights").glob("*/card.json")):
        exports = home / "build" / model.name
        if not up_to_date(model, exports):
            print(f"building {store / model.name}.mar, once", flush=True)
            write_graphs(model, exports)
        build_archive(model, exports, store, shipped())
    return store


def shipped_sources(package: Path) -> Iterator[Path]:
    """The files of the package that go into an archive."""
    for name in SHIPPED:
        path = package / name
        yield from path.rglob("*.py") if path.is_dir() else (path,)


def collect(model: Path, exports: Path, checkout: Path, backend: Backend) -> dict[str, bytes]:
    """Everything that goes into the archive: name inside it to content.

    The ONNX graphs go in whatever answers, as a batch without a server answers from them; a TorchScript module, which
    is larger than all else together, only where it answers.

    Raises:
        ExportError: The backend's file is not among the exports.
    """
    package = Path(osteolens.__file__).parent
    paths = {f"osteolens/{path.relative_to(package)}": path for path in shipped_sources(package)}
    graphs = [name for name in (ONNX_FILE, INT8_FILE) if (exports / name).is_file()]
    own = FILES.get(backend)
    if own and not (exports / own).is_file():
        raise ExportError(
            f"no {own} in {exports} for the backend {backend}: make it with "
            f"{EXPORTERS[backend]} {model} --out {exports}"
        )
    paths |= {name: exports / name for name in (*graphs, *filter(None, [own]))}
    known = [FILMS_FILE] if (model / FILMS_FILE).is_file() else []  # by which a validation refuses these films
    known += [FAMILIARITY_FILE] if (model / FAMILIARITY_FILE).is_file() else []
    paths |= {name: model / name for name in (CARD_FILE, WEIGHTS_FILE, *known)}
    gate = find_gate(model)
    paths |= {name: gate / name for name in GATE_FILES} if gate else {}
    paths |= {name: checkout / "handlers" / name for name in HANDLERS}
    finder = finder_beside(model)
    paths |= {FINDER_FILE: finder} if finder else {}
    config = MODEL_CONFIG.format(backend=backend, backends=", ".join(BACKENDS))
    written = {CONFIG_FILE: config, REQUIREMENTS_FILE: requirements(checkout / "constraints.txt")}
    return {name: path.read_bytes() for name, path in paths.items()} | {
        name: text.encode() for name, text in written.items()
    }


def check_exports(card: Card, files: Collection[str], exports: Path) -> None:
    """Load every exported file that goes into the archive as a worker will.

    Raises:
        CardError, ExportError: One was exported from another card or is damaged; the message names the command.
    """
    for backend, file in FILES.items():
        if file in files:
            load_runtime(exports, card, backend)


def requirements(constraints: Path) -> str:
    """The exact version of each package that the handler needs, from a file of pins.

    Raises:
        ExportError: There is no pin for one of them.
    """
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", constraints.read_text(), re.MULTILINE))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    missing = [name for name in NEEDED if name not in pins]
    if missing:
        raise ExportError(f"{constraints.name} has no pin for {', '.join(missing)}")
    return "".join(f"{name}=={pins[name]}\n" for name in NEEDED)


def digest(files: dict[str, bytes]) -> str:
    """Hash of all that decides the archive's bytes: what goes in, and this module."""
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
    named = {HANDLERS[0], WEIGHTS_FILE, CONFIG_FILE, REQUIREMENTS_FILE}
    for name, content in files.items():
        path = stage / name if name in named else stage / "extra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    temporary.mkdir()
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", card.name, "--version", card.version, "--export-path", str(folder),
        "--handler", str(stage / HANDLERS[0]), "--serialized-file", str(stage / WEIGHTS_FILE),
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
