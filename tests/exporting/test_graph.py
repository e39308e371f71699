import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT, make_model_folder
from onnx import TensorProto, helper, numpy_helper

from osteolens.card import GRAPH_FILE, ONNX_FILE, load_card
from osteolens.errors import ExportError
from osteolens.exporting.check import max_difference
from osteolens.exporting.graph import MADE_OF, filled, load_graph, load_weights, made_of, without_weights, write_graphs
from osteolens.exporting.onnx import to_onnx, write_graph
from osteolens.inference.runtimes.onnx import OnnxRuntime

SHIPPED = sorted(path.parent for path in ROOT.glob("weights/*/card.json"))
KILOBYTE, MEGABYTE = 1000, 1000**2


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


WEIGHTS = {
    "c.weight": f32(1, 2, 3, 4, 5, 6).reshape(2, 3, 1, 1),
    "n.running_mean": f32(1, -1),
    "n.running_var": f32(0.75, 3.75),  # with an epsilon of 0.25 the deviations are 1 and 2
    "n.weight": f32(2, 6),
    "n.bias": f32(10, 20),
    "std": f32(0.5, 0.5, 0.25).reshape(1, 3, 1, 1),
}
BY_HAND = {
    "stored n.bias": [10, 20],
    "share n.weight 4": [0.5, 1.5],
    "weight c n 0.25": [2, 4, 6, 12, 15, 18],  # times 2 / 1 and 6 / 2
    "weight c n 0.25 std": [36, 126],  # (1 / .5 + 2 / .5 + 3 / .25) x 2 and (4 / .5 + 5 / .5 + 6 / .25) x 3
    "bias c n 0.25": [8, 23],  # (0 - 1) / 1 x 2 + 10 and (0 + 1) / 2 x 6 + 20
}


@pytest.mark.parametrize("recipe", BY_HAND)
def test_tensors_by_hand(recipe: str) -> None:
    values = made_of(recipe, WEIGHTS)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values.ravel(), BY_HAND[recipe])


def test_a_bias_of_the_convolution_counts() -> None:
    np.testing.assert_array_equal(made_of("bias c n 0.25", WEIGHTS | {"c.bias": f32(3, 1)}), [14, 26])


@pytest.fixture(scope="module")
def traced(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small model's folder, with the graph that its export left."""
    folder = tmp_path_factory.mktemp("traced") / model_folder.name
    shutil.copytree(model_folder, folder)
    write_graph(folder, exports / ONNX_FILE)
    return folder


def test_the_graph_is_the_exported_one_to_the_byte(traced: Path, exports: Path, tmp_path: Path) -> None:
    assert write_graphs(traced, tmp_path) == [tmp_path / ONNX_FILE]
    assert (tmp_path / ONNX_FILE).read_bytes() == (exports / ONNX_FILE).read_bytes()
    assert (traced / GRAPH_FILE).stat().st_size < 100 * KILOBYTE


@pytest.mark.slow
def test_that_of_an_ensemble_too(ensemble_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "knee"
    shutil.copytree(ensemble_folder, folder)
    exported = to_onnx(folder, tmp_path / "traced")
    write_graph(folder, exported)
    assert write_graphs(folder, tmp_path / "made")[0].read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_that_of_a_mirrored_model_too(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    card = load_card(folder).model_copy(update={"mirrored": True})
    card.save(folder)
    exported = to_onnx(folder, tmp_path / "exported")
    write_graph(folder, exported)
    (graph,) = write_graphs(folder, tmp_path / "made")
    assert graph.read_bytes() == exported.read_bytes()
    film = np.random.default_rng(0).integers(0, 256, (3, 1, 96, 96), dtype=np.uint8)
    straight, turned = (OnnxRuntime(graph, card).predict(pixels) for pixels in (film, film[..., ::-1].copy()))
    assert max_difference(straight, turned) < 1e-4
    np.testing.assert_allclose(straight.maps, turned.maps[..., ::-1], atol=1e-4)


def test_an_export_does_not_say_where_it_was_made(exports: Path) -> None:
    for path in (sys.prefix, str(ROOT), "site-packages"):
        assert path.encode() not in (exports / ONNX_FILE).read_bytes()


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_graphs_hold_the_tensors_of_the_pytorch_models(folder: Path) -> None:
    from osteolens import models

    model, card = models.load(folder)
    graph = filled(load_graph(folder, card), load_weights(folder)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    parameters = {f"model.{name}": value.numpy() for name, value in model.state_dict().items()}
    shared = tensors.keys() & parameters.keys()
    assert len(shared) >= len(tensors) - 20  # the rest are constants of the architecture, and the weights of the maps
    for name in shared:
        assert tensors[name].tobytes() == np.ascontiguousarray(parameters[name]).tobytes(), name
    assert [output.name for output in graph.output][:4] == ["logits", "t_score", "maps", "pooled"]


def test_shipped_graphs_are_small() -> None:
    assert len(SHIPPED) == 4
    assert sum((folder / GRAPH_FILE).stat().st_size for folder in SHIPPED) < MEGABYTE


def test_no_pytorch_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'timm', 'ultralytics'])\n"  # importing any is an error
        "from pathlib import Path\n"
        "from osteolens.exporting.graph import write_graphs\n"
        "from osteolens.inference.reader import Reader, Request\n"
        "from osteolens.inference.runtimes import load_runtime\n"
        "from osteolens.card import load_card\n"
        "folder, out, film = map(Path, sys.argv[1:])\n"
        "write_graphs(folder, out)\n"
        "reader = Reader(folder, load_runtime(out, load_card(folder), 'onnx-fp32'))\n"
        "answer = reader.answer(Request(film.read_bytes(), {'target': 'all', 'age': '63', 'sex': 'female'}, 'x'))\n"
        "print(len(answer.explanations), answer.fused is not None)\n"
    )
    command = [sys.executable, "-c", code, ROOT / "weights" / "yolov5", tmp_path, ROOT / "samples" / "knee.jpg"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["3", "True"]


def test_the_graph_of_other_weights_is_refused(traced: Path, tmp_path: Path) -> None:
    other = make_model_folder(tmp_path / "other", seed=5)
    with pytest.raises(ExportError, match=r"no graph\.onnx in .*osteolens export .*other --trace"):
        write_graphs(other, tmp_path)
    shutil.copy(traced / GRAPH_FILE, other)
    expected = f"sha256 {load_card(traced).weights_sha256}.*{load_card(other).weights_sha256}.*--trace"
    with pytest.raises(ExportError, match=expected):
        write_graphs(other, tmp_path)
    (other / GRAPH_FILE).write_bytes(b"no graph")
    with pytest.raises(ExportError, match="is no ONNX graph"):
        write_graphs(other, tmp_path)


def test_another_models_graph_is_not_overwritten(traced: Path, tmp_path: Path) -> None:
    graph = onnx.load(traced / GRAPH_FILE)
    helper.set_model_props(graph, {"name": "another"})
    onnx.save(graph, tmp_path / ONNX_FILE)
    with pytest.raises(ExportError, match="is that of another, and efficientnet would overwrite it"):
        write_graphs(traced, tmp_path)


def test_a_tensor_that_cannot_be_made_is_named(model_folder: Path) -> None:
    card, large = load_card(model_folder), np.zeros(17, np.float32)
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(large, "large")])
    model = helper.make_model(graph)
    with pytest.raises(ExportError, match="nothing says how the tensor large is made"):
        without_weights(model, {}, {}, card)
    with pytest.raises(ExportError, match="the tensor large is not 'stored x' of the stored weights"):
        without_weights(model, {"large": "stored x"}, {"x": large + 1}, card)
    stored = without_weights(model, {"large": "stored x"}, {"x": large}, card).graph.initializer[0]
    assert (stored.data_type, stored.raw_data, stored.metadata_props[0].key) == (TensorProto.FLOAT, b"", MADE_OF)


@pytest.mark.parametrize("path", sorted((ROOT / "weights").glob("*/*.onnx")), ids=lambda path: path.parent.name)
def test_no_committed_graph_names_a_folder_of_the_machine_that_traced_it(path: Path) -> None:
    assert b"site-packages" not in path.read_bytes()
    assert b'File "' not in path.read_bytes()
