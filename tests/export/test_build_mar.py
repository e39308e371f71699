"""The archive: what is in it, that it is the same every time, and that its own code runs."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest
from conftest import encoded, knee_like
from support.scripts import run_script

from osteolens.card import load_card
from osteolens.exporting.archive import shipped_sources

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "export" / "build_mar.py"

LOAD_AS_A_WORKER = """
import sys
import knee_xray, osteolens
from ts.context import Context, RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.utils.util import get_yaml_config
metrics = MetricsCacheYamlImpl(sys.argv[1])
metrics.initialize_cache()
config = get_yaml_config("model-config.yaml")
context = Context("efficientnet", ".", {}, 8, None, "0.12.0", metrics=metrics, model_yaml_config=config)
handler = knee_xray.KneeXray()
handler.initialize(context)
context.request_processor, context.request_ids = [RequestProcessor({})] * 2, {0: "first", 1: "second"}
print(osteolens.__file__)
film = open("film.png", "rb").read()
for body in handler.handle([{"body": film}, {"data": film, "explain": b"gradcam++"}], context):
    print(body.decode())
"""


def build(model: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_script(SCRIPT, model, "--exports", model / "exports", "--out", out, *options)


@pytest.fixture(scope="module")
def model(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with one of its exports."""
    folder = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("export") / "efficientnet"))
    (folder / "exports").mkdir()
    shutil.copy(exports / "model.onnx", folder / "exports")
    return folder


@pytest.fixture(scope="module")
def archive(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("store")
    run = build(model, out)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in sorted(out.iterdir())] == ["efficientnet.mar", "efficientnet.mar.sha256"]
    return out / "efficientnet.mar"


def test_it_holds_all_that_a_worker_needs_and_nothing_else(archive: Path) -> None:
    with zipfile.ZipFile(archive) as stored:
        names = set(stored.namelist())
        manifest = json.loads(stored.read("MAR-INF/MANIFEST.json"))
    package = {name for name in names if name.startswith("osteolens/")}
    source = ROOT / "src" / "osteolens"
    assert package == {f"osteolens/{path.relative_to(source)}" for path in shipped_sources(source)}
    assert names - package == {
        "MAR-INF/MANIFEST.json", "card.json", "knee_xray.py", "model-config.yaml", "model.onnx", "requirements.txt",
        "sitecustomize.py", "weights.safetensors",
    }  # fmt: skip
    assert manifest["model"]["modelName"] == "efficientnet"
    assert manifest["model"]["modelVersion"] == "1.0"


def test_its_checksum_is_beside_it(archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert archive.with_name("efficientnet.mar.sha256").read_text() == f"{digest}  efficientnet.mar\n"


def test_its_requirements_are_pins_of_the_constraints(archive: Path) -> None:
    with zipfile.ZipFile(archive) as stored:
        pins = stored.read("requirements.txt").decode().splitlines()
    assert {pin.split("==")[0] for pin in pins} >= {
        "torch",
        "onnxruntime",
        "timm",
        "ultralytics-opencv-headless",
        "grad-cam",
    }
    constraints = {line.strip().lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert set(pins) <= constraints


def test_two_builds_give_the_same_bytes(archive: Path, model: Path, tmp_path: Path) -> None:
    assert build(model, tmp_path).returncode == 0
    assert (tmp_path / "efficientnet.mar").read_bytes() == archive.read_bytes()


def test_a_second_build_has_nothing_to_do(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    build(model, out)
    first = (out / "efficientnet.mar").stat().st_mtime_ns
    again = build(model, out)
    assert "up to date" in again.stdout
    assert (out / "efficientnet.mar").stat().st_mtime_ns == first
    assert "wrote" in build(model, out, "--force").stdout
    assert (out / "efficientnet.mar").stat().st_mtime_ns != first


@pytest.mark.parametrize("spoilt", ["efficientnet.mar", "efficientnet.mar.sha256"])
def test_a_spoilt_archive_is_built_again(archive: Path, model: Path, tmp_path: Path, spoilt: str) -> None:
    out = Path(shutil.copytree(archive.parent, tmp_path / "store"))
    (out / spoilt).write_text("spoilt")
    assert "wrote" in build(model, out).stdout
    assert (out / "efficientnet.mar").read_bytes() == archive.read_bytes()


def test_a_changed_export_is_built_in(archive: Path, model: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(model, tmp_path / "model"))
    graph = onnx.load(changed / "exports" / "model.onnx")
    graph.producer_name = "another export"
    onnx.save(graph, changed / "exports" / "model.onnx")
    out = Path(shutil.copytree(archive.parent, tmp_path / "store"))
    assert "wrote" in build(changed, out).stdout
    with zipfile.ZipFile(out / "efficientnet.mar") as stored:
        assert stored.read("model.onnx") == (changed / "exports" / "model.onnx").read_bytes()


def test_a_graph_of_an_earlier_card_is_refused(archive: Path, model: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(model, tmp_path / "model"))
    load_card(changed).model_copy(update={"version": "1.1"}).save(changed)
    out = Path(shutil.copytree(archive.parent, tmp_path / "store"))
    run = build(changed, out)
    assert run.returncode == 2
    assert "model.onnx does not belong to its card" in run.stderr
    assert "export it again: osteolens export weights/efficientnet" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert (out / "efficientnet.mar").read_bytes() == archive.read_bytes()  # the working archive stays


def test_a_damaged_export_is_refused(model: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(model, tmp_path / "model"))
    (changed / "exports" / "model.onnx").write_bytes(b"cut off")
    run = build(changed, tmp_path / "store", "--backend", "eager")  # not what answers, but it would be in there
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "model.onnx cannot be loaded" in run.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "backend"),
    [((), "onnx-fp32"), (("--backend", "eager"), "eager"), (("--backend", "onnx-fp32"), "onnx-fp32")],
)
def test_the_backend_is_written_into_the_archive(
    options: tuple[str, ...], backend: str, model: Path, tmp_path: Path
) -> None:
    assert build(model, tmp_path, *options).returncode == 0
    with zipfile.ZipFile(tmp_path / "efficientnet.mar") as stored:
        assert re.findall(r"(?m)^  backend: (.*)$", stored.read("model-config.yaml").decode()) == [backend]


@pytest.mark.parametrize(
    ("backend", "file"), [("onnx-int8", "model.int8.onnx"), ("torchscript", "model.torchscript.pt")]
)
def test_a_backend_without_its_file_is_refused(backend: str, file: str, model: Path, tmp_path: Path) -> None:
    run = build(model, tmp_path / "store", "--backend", backend)
    assert run.returncode == 2
    command = rf"osteolens export( -f torchscript)? {model} --out {model / 'exports'}"
    assert re.fullmatch(rf"error: no {file} in .* for the backend {backend}: make it with {command}\n", run.stderr)
    assert not (tmp_path / "store").exists()


def test_weights_that_do_not_fit_the_card_give_one_line_and_no_archive(model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "model"))
    (broken / "weights.safetensors").write_bytes(b"other weights")
    run = build(broken, tmp_path / "store")
    assert run.returncode == 2
    assert re.fullmatch(r"error: .*sha256 is [0-9a-f]{64}, the card says [0-9a-f]{64}\n", run.stderr)
    assert not (tmp_path / "store").exists()


def answer_of_a_worker(archive: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Where a worker's `osteolens` comes from, and its answer; it is started in `folder/model` and prints no more.

    A second request is explained by gradients, which a default archive holds no export for.
    """
    model, home = folder / "model", folder / "home"
    home.mkdir()
    with zipfile.ZipFile(archive) as stored:
        stored.extractall(model)
    (model / "film.png").write_bytes(encoded(knee_like()))
    # As TorchServe does it: started in the model's folder with that folder on PYTHONPATH.
    run = subprocess.run(
        [sys.executable, "-P", "-c", LOAD_AS_A_WORKER, ROOT / "handlers" / "metrics.yaml"],
        cwd=model, env={"PYTHONPATH": str(model), "PATH": "", "HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert not list(home.rglob("*ltralytics*"))
    imported, answer, second = run.stdout.splitlines()
    [explanation] = json.loads(second)["explanations"]
    assert explanation["method"] == "gradcam++"
    assert explanation["peak"] > 0
    return Path(imported), json.loads(answer)


@pytest.mark.slow
def test_a_worker_runs_the_code_inside_not_an_installed_one(archive: Path, tmp_path: Path) -> None:
    imported, answer = answer_of_a_worker(archive, tmp_path)
    assert imported == tmp_path / "model" / "osteolens" / "__init__.py"
    assert answer["id"] == "first"
    assert answer["fold_spread"] is None


@pytest.mark.slow
def test_an_ensemble_with_a_yolov5_is_archived_and_answers_in_the_same_way(
    ensemble_folder: Path, tmp_path: Path
) -> None:
    run = build(ensemble_folder, tmp_path, "--backend", "eager")
    assert run.returncode == 0, run.stderr
    imported, answer = answer_of_a_worker(tmp_path / "knee.mar", tmp_path)
    assert imported == tmp_path / "model" / "osteolens" / "__init__.py"
    assert (answer["model"]["name"], answer["fold_spread"]["members"]) == ("knee", 2)
    assert [item["method"] for item in answer["explanations"]] == ["gradcam"]


@pytest.mark.slow
def test_exports_lie_where_the_archive_is_built_from(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for script, *options in (("to_torchscript",), ("build_mar", "--backend", "torchscript")):
        run = run_script(ROOT / "export" / f"{script}.py", model_folder, *options)
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "build" / "efficientnet" / "model.torchscript.pt").is_file()
    assert (tmp_path / "model_store" / "efficientnet.mar").is_file()
