"""Archives of small models for the live tests."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import onnx
from support.scripts import run_script
from support.shown import shown

from osteolens.card import CARD_FILE, FINDER_FILE, ONNX_FILE, Card, file_sha256
from osteolens.films.gate import GATE_FILES

ROOT = Path(__file__).parents[2]
CONFIG, WEIGHTS = ROOT / "config.properties", ROOT / "weights"


def build_archive(model: Path, exports: Path, store: Path, *options: str) -> Path:
    """The archive of a model folder, as `osteolens archive` makes it."""
    done = run_script(ROOT / "export" / "build_mar.py", model, "--exports", exports, "--out", store, *options)
    assert done.returncode == 0, done.stderr
    return store / f"{model.name}.mar"


def add_patient_twin(archive: Path) -> None:
    """The same model as `patient`: one worker that waits 20 seconds for eight requests before it answers."""
    add_twin(archive, "patient", {"batchSize": "8", "maxBatchDelay": "20000", "minWorkers": "1", "maxWorkers": "1"})


def add_each_knee_twin(archive: Path) -> None:
    """The same model as `knees`: reads each knee that the shipped finder finds, behind the shipped gate."""
    add_twin(archive, "knees", {"minWorkers": "1", "maxWorkers": "1"})
    finder, gate = WEIGHTS / "joints" / FINDER_FILE, WEIGHTS / "gate"
    twin = archive.with_name("knees.mar")
    with zipfile.ZipFile(twin) as stored:
        contents = {name: stored.read(name) for name in stored.namelist()}
    card = Card.model_validate_json(contents[CARD_FILE])
    spec = card.preprocess.model_copy(update={"view": "each knee"})
    change = {"name": "knees", "preprocess": spec, "joints_sha256": file_sha256(finder)}
    card = shown(card.model_copy(update=change))
    contents[CARD_FILE] = card.model_dump_json().encode()
    contents[ONNX_FILE] = _stamped(contents[ONNX_FILE], {"name": card.name, "card_sha256": card.sha256})
    contents |= {path.name: path.read_bytes() for path in (finder, *(gate / name for name in GATE_FILES))}
    with zipfile.ZipFile(twin, "w") as target:
        for name, content in contents.items():
            target.writestr(name, content)
    twin.with_name("knees.mar.sha256").write_text(f"{file_sha256(twin)}  knees.mar\n")


def add_backend_twins(model: Path, exports: Path, store: Path) -> None:
    """The same model as `torchscript` and as `eager`, one worker each, answered by that backend."""
    for backend in ("torchscript", "eager"):
        archive = build_archive(model, exports, store / f".{backend}", "--backend", backend)
        add_twin(archive, backend, {"minWorkers": "1", "maxWorkers": "1"}, store)
        shutil.rmtree(archive.parent)


def add_twin(archive: Path, name: str, settings: dict[str, str], store: Path | None = None) -> None:
    """The same archive under another name (in another store), with other settings in its model-config."""
    twin = (store or archive.parent) / f"{name}.mar"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(twin, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            if entry == "MAR-INF/MANIFEST.json":
                manifest = json.loads(content)
                manifest["model"]["modelName"] = name
                content = json.dumps(manifest).encode()
            if entry == "model-config.yaml":
                content = _changed(content.decode(), settings).encode()
            target.writestr(entry, content)
    twin.with_name(f"{twin.name}.sha256").write_text(f"{file_sha256(twin)}  {twin.name}\n")


def _stamped(graph: bytes, facts: dict[str, str]) -> bytes:
    """A graph whose facts name another card."""
    loaded = onnx.load_model_from_string(graph)
    for entry in loaded.metadata_props:
        entry.value = facts.get(entry.key, entry.value)
    return loaded.SerializeToString()


def _changed(config: str, settings: dict[str, str]) -> str:
    for name, value in settings.items():
        config, count = re.subn(rf"(?m)^{name}: .*$", f"{name}: {value}", config)
        if not count:
            config = f"{name}: {value}\n{config}"
    return config
