"""Archives of small models for the live tests."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from osteolens.card import file_sha256

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config.properties"


def build_archive(model: Path, exports: Path, store: Path) -> Path:
    """The archive of a model folder, as export/build_mar.py makes it."""
    script = ROOT / "export" / "build_mar.py"
    subprocess.run([sys.executable, script, model, "--exports", exports, "--out", store], check=True)
    return store / f"{model.name}.mar"


def add_patient_twin(archive: Path) -> None:
    """The same model as `patient`: one worker that waits two seconds for eight requests before it answers."""
    twin = archive.with_name("patient.mar")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(twin, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "MAR-INF/MANIFEST.json":
                manifest = json.loads(content)
                manifest["model"]["modelName"] = "patient"
                content = json.dumps(manifest).encode()
            if name == "model-config.yaml":
                content = content.replace(b"maxBatchDelay: 1\n", b"maxBatchDelay: 2000\nminWorkers: 1\nmaxWorkers: 1\n")
            target.writestr(name, content)
    twin.with_name("patient.mar.sha256").write_text(f"{file_sha256(twin)}  patient.mar\n")
