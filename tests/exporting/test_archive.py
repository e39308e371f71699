"""What goes into an archive: what a worker imports, and nothing that makes another part of the project rebuild it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import osteolens
from osteolens.errors import ExportError
from osteolens.exporting import archive
from osteolens.inference.runtimes import Backend

ROOT = Path(__file__).parents[2]
PACKAGE = Path(osteolens.__file__).parent


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files with the names of a model folder and of its exports; what is in them does not matter here."""
    folder = tmp_path / "efficientnet"
    (folder / "exports").mkdir(parents=True)
    for name in ("card.json", "weights.safetensors", "exports/model.onnx", "exports/model.int8.onnx"):
        (folder / name).write_bytes(name.encode())
    return folder


def collect(model: Path, backend: Backend = "onnx-fp32") -> dict[str, bytes]:
    return archive.collect(model, model / "exports", ROOT, backend)


def test_the_package_in_an_archive_imports_completely(tmp_path: Path) -> None:
    for path in archive.shipped_sources(PACKAGE):
        target = tmp_path / "osteolens" / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(ROOT / "handlers" / "knee_xray.py", tmp_path)
    code = """
import importlib, pathlib, sys
sources = sorted(pathlib.Path("osteolens").rglob("*.py"))
for source in sources:
    importlib.import_module(".".join(source.with_suffix("").parts).removesuffix(".__init__"))
import knee_xray
places = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "osteolens"}
assert all(place.startswith(sys.argv[1]) for place in places.values()), places
print(len(sources))
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 40 < int(done.stdout) < 70  # of some 200 in the package


def test_every_file_that_is_shipped_exists_and_is_imported_by_a_worker_or_one_of_its_packages() -> None:
    names = {str(path.relative_to(PACKAGE)) for path in archive.shipped_sources(PACKAGE)}
    assert all((PACKAGE / name).is_file() for name in names)
    assert {"inference/runtimes/onnx.py", "films/tiff.py", "models/yolov5.py", "serving/requests.py"} <= names
    assert not any(name.startswith(("audit", "training", "bench", "cli", "exporting", "batch")) for name in names)
    assert "serving/torchserve.py" not in names


@pytest.mark.parametrize(
    ("changed", "same"),
    [("audit/run.py", True), ("serving/torchserve.py", True), ("films/read.py", False), ("serving/requests.py", False)],
)
def test_only_a_change_of_what_a_worker_imports_changes_the_digest(
    changed: str, same: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.digest(collect(model))
    copied = shutil.copytree(PACKAGE, tmp_path / "osteolens", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(osteolens, "__file__", str(copied / "__init__.py"))
    assert archive.digest(collect(model)) == before
    with (copied / changed).open("a") as stream:
        stream.write("# a comment\n")
    assert (archive.digest(collect(model)) == before) is same


def test_torchscript_is_in_the_archive_only_where_it_answers(model: Path) -> None:
    (model / "exports" / "model.torchscript.pt").write_bytes(b"module")
    graphs = {"model.onnx", "model.int8.onnx"}
    for backend in ("onnx-fp32", "onnx-int8", "eager"):
        assert {name for name in collect(model, backend) if name.startswith("model.")} == graphs
    assert {name for name in collect(model, "torchscript") if name.startswith("model.")} == {
        *graphs,
        "model.torchscript.pt",
    }


def test_the_gate_goes_in_where_the_model_has_one(model: Path) -> None:
    gate = {"gate.onnx", "gate.json", "familiarity.safetensors"}
    assert not gate & collect(model).keys()
    (model.parent / "gate").mkdir()
    for path in (
        model.parent / "gate" / "gate.onnx",
        model.parent / "gate" / "gate.json",
        model / "familiarity.safetensors",
    ):
        path.write_bytes(path.name.encode())
    files = collect(model)
    assert {name: files[name] for name in gate} == {name: name.encode() for name in gate}


def test_every_shipped_model_is_served_by_make_serve_and_by_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = sorted(path.parent.name for path in (ROOT / "weights").glob("*/card.json"))
    assert "knee_oa" in models  # what shows that something is seen where there is something to see
    command = ["make", "--dry-run", "--no-print-directory", "--always-make", "archives"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(re.findall(r"build_mar\.py weights/(\w+)", printed)) == models
    built: list[str] = []
    monkeypatch.setattr(archive, "up_to_date", lambda *_: True)
    monkeypatch.setattr(archive, "build_archive", lambda model, *_: built.append(model.name))
    archive.archive_shipped(tmp_path)
    assert built == models


def test_a_missing_export_is_named_with_the_command_that_makes_it(model: Path) -> None:
    command = rf"osteolens export -f torchscript {model} --out {model}/exports"
    with pytest.raises(
        ExportError, match=rf"no model\.torchscript\.pt in .* backend torchscript: make it with {command}"
    ):
        collect(model, "torchscript")
