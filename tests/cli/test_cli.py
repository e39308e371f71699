import json
import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from conftest import SMALL, encoded, knee_like
from onnx import helper
from PIL import Image
from typer.testing import CliRunner

from osteolens.card import load_card
from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.inference.runtimes.onnx import OPSET

OSTEOLENS = [str(Path(sys.executable).parent / "osteolens")]


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Without the terminal's width, which readline puts into the environment of a test run.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [*OSTEOLENS, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120, env=environment)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "other").mkdir(parents=True)
    (folder / "a.png").write_bytes(encoded(knee_like(seed=1)))
    (folder / "other" / "a.jpg").write_bytes(encoded(knee_like(seed=2), "JPEG"))
    (folder / "bad [1].txt").write_text("not a film")
    return folder


@pytest.fixture
def exported(films: Path, model_folder: Path) -> Path:
    """Where the model's graph is looked for: one that answers by the brightness of the film."""
    node, floats = helper.make_node, onnx.TensorProto.FLOAT
    nodes = [
        node("Cast", ["films"], ["grey"], to=floats),
        node("ReduceMean", ["grey", "sides"], ["mean"], keepdims=0),
        node("MatMul", ["mean", "weights"], ["logits"]),
        node("Squeeze", ["mean", "last"], ["t_score"]),
        node("AveragePool", ["grey"], ["cells"], kernel_shape=[32, 32], strides=[32, 32]),
        node("Concat", ["cells"] * 3, ["maps"], axis=1),
        node("Identity", ["mean"], ["pooled"]),
    ]
    constants = [
        helper.make_tensor("sides", onnx.TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("last", onnx.TensorProto.INT64, [1], [1]),
        helper.make_tensor("weights", floats, [1, 3], [0.01, 0.02, 0.03]),
    ]
    outputs = [helper.make_tensor_value_info(name, floats, None) for name in ("logits", "t_score", "maps", "pooled")]
    given = [helper.make_tensor_value_info("films", onnx.TensorProto.UINT8, ["batch", 1, "height", "width"])]
    graph = helper.make_graph(nodes, "brightness", given, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    helper.set_model_props(model, {"opset": str(OPSET), "card_sha256": load_card(model_folder).sha256})
    folder = films / "build" / "efficientnet"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    return folder


@pytest.mark.usefixtures("exported")
def test_predict_local_writes_answers_and_overlays_and_reports_failures(films: Path, model_folder: Path) -> None:
    done = run(
        "predict", "a.png", "other/a.jpg", "bad [1].txt", "absent.png", "--local", "--model", model_folder,
        "--target", "all", "--json", cwd=films,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == ["a.png", "other/a.jpg", "bad [1].txt", "absent.png"]
    assert [row.get("error", {}).get("code") for row in rows] == [None, None, "unsupported_type", "FileNotFoundError"]
    assert rows[0]["answer"]["probabilities"] != rows[1]["answer"]["probabilities"]
    written = {path.name for path in (films / "answers").iterdir()}
    maps = {f"{name}.{label}.png" for name in ("a", "a-2") for label in ("normal", "osteopenia", "osteoporosis")}
    assert written == {"a.json", "a-2.json"} | maps
    of = {"file": str(films / "other" / "a.jpg")}
    assert json.loads((films / "answers" / "a-2.json").read_text()) == rows[1]["answer"] | of
    with Image.open(films / "answers" / "a.normal.png") as overlay:
        assert overlay.width > 240
        assert overlay.height > 300


def test_predict_local_loads_pytorch_only_where_no_graph_answers(
    films: Path, model_folder: Path, exported: Path
) -> None:
    code = """
import sys
from osteolens.cli import main
try:
    main()
except SystemExit as end:
    print(end.code, [name for name in ("torch", "timm") if name in sys.modules])
"""

    def predict(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["predict", "a.png", "--local", "--model", str(model_folder), *options]
        return subprocess.run([sys.executable, "-c", code, *words], cwd=films, capture_output=True, text=True)

    by_graph = predict()
    assert (by_graph.stderr, by_graph.stdout.splitlines()[-1]) == ("", "0 []")
    (exported / "model.onnx").write_bytes(b"no graph")
    by_pytorch = predict()
    assert by_pytorch.stdout.splitlines()[-1] == "0 ['torch', 'timm']"
    assert by_pytorch.stderr.startswith("note: answering with PyTorch, which takes seconds to start: ")
    assert "model.onnx cannot be loaded" in by_pytorch.stderr


@pytest.mark.usefixtures("exported")
def test_predict_prints_a_table(films: Path, model_folder: Path) -> None:
    done = run("predict", "a.png", "bad [1].txt", "--local", "--model", model_folder, "-e", "none", cwd=films)
    assert done.returncode == 3
    for text in ("a.png", "bad [1].txt", "plain text", "not a diagnostic device"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict", "a.png", "--server", "http://127.0.0.1:9"], 4, "no answer from http://127.0.0.1:9"),
        (["predict", "a.png", "--local", "--model", "absent"], 2, "no card.json in absent"),
        (["predict", "a.png", "--key-file", "absent.json"], 2, "there is no key file absent.json"),
        (["card", "show", "absent"], 2, "no card.json in absent"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments: list[str], status: int, message: str, films: Path) -> None:
    done = run(*arguments, cwd=films)
    assert done.returncode == status
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "-d", "absent.csv", "-o", "run"],
        ["crossval", "-d", "absent.csv", "-o", "run"],
        ["study", "absent.csv", "-o", "run"],
        ["evaluate", "{model}", "absent.csv"],
        ["evaluate", "{model}", "films", "--trained-on", "absent.csv"],
        ["recalibrate", "{model}", "absent.csv", "-o", "run"],
        ["audit", "absent.csv"],
        ["batch", "absent.csv", "-o", "run"],
        ["dicom", "absent.csv", "-o", "run"],
        ["deidentify", "absent.csv", "-o", "run"],
        ["bench", "compare", "absent.csv", "absent.csv"],
        ["predict", "--local", "-m", "{model}", "absent.csv"],
    ],
)
def test_a_missing_file_is_named_in_words(
    arguments: list[str], model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("normal", "osteoporosis"):
        (tmp_path / "films" / label).mkdir(parents=True)
        (tmp_path / "films" / label / "a.png").write_bytes(encoded(knee_like(seed=len(label))))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [part.format(model=model_folder) for part in arguments])
    assert done.exit_code == (Status.SOME_FAILED if arguments[0] in ("dicom", "predict") else Status.USAGE), done.output
    assert "absent.csv" in done.output
    assert "Errno" not in done.output
    assert re.search(r"there is no|is not there|neither a file", done.output)


def test_card_show(model_folder: Path, tmp_path: Path) -> None:
    table = run("card", "show", model_folder, cwd=tmp_path)
    assert table.returncode == 0
    assert SMALL in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert "…" not in table.stdout
    card = json.loads(run("card", "show", model_folder, "--json", cwd=tmp_path).stdout)
    assert card == json.loads((model_folder / "card.json").read_text())


@pytest.mark.parametrize(("port", "bound"), [("70000", "65535"), ("-1", "0")])
def test_a_port_that_does_not_exist_is_refused_as_wrong_usage(port: str, bound: str, tmp_path: Path) -> None:
    done = run("serve", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(rf"'--port'.*\b{bound}\b", done.stderr, re.DOTALL)
    assert "Traceback" not in done.stderr
