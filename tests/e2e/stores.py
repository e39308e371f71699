"""Archives of small models for the live tests."""

import json
import re
import shutil
import zipfile
from pathlib import Path

from support.scripts import run_script

from osteolens.card import file_sha256

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config.properties"


def build_archive(model: Path, exports: Path, store: Path, *options: str) -> Path:
    """The archive of a model folder, as `osteolens archive` makes it."""
    done = run_script(ROOT / "export" / "build_mar.py", model, "--exports", exports, "--out", store, *options)
    assert done.returncode == 0, done.stderr
    return store / f"{model.name}.mar"


def add_patient_twin(archive: Path) -> None:
    """The same model as `patient`: one worker that waits 20 seconds for eight requests before it answers."""
    add_twin(archive, "patient", {"batchSize": "8", "maxBatchDelay": "20000", "minWorkers": "1", "maxWorkers": "1"})


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


def _changed(config: str, settings: dict[str, str]) -> str:
    for name, value in settings.items():
        config, count = re.subn(rf"(?m)^{name}: .*$", f"{name}: {value}", config)
        if not count:
            config = f"{name}: {value}\n{config}"
    return config
