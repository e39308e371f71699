import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import knee_like
from numpy.typing import NDArray
from onnx import numpy_helper

from osteolens.card import RANGES_FILE, Card, load_card
from osteolens.errors import CardError, DataError, ExportError
from osteolens.evaluation.int8.ranges import MAX_CHANGE, choose, measure, quantise_within
from osteolens.exporting.int8 import ActivationRanges, layers, load_ranges, quantise, round_weights
from osteolens.films.prepare import prepare
from osteolens.inference.runtimes.onnx import OnnxRuntime

FIRST = 6
"""Convolutions left in fp32 here, of the 49 in the body of tf_efficientnet_lite0."""
CONVOLUTIONS = 49


@pytest.fixture(scope="module")
def card(member_folders: list[Path]) -> Card:
    return load_card(member_folders[0])


@pytest.fixture(scope="module")
def films(card: Card) -> NDArray[np.uint8]:
    return np.stack([prepare(knee_like(seed=seed), card.preprocess).array for seed in range(12)])


@pytest.fixture(scope="module")
def graph(graph_of: Callable[[str], Path]) -> Path:
    return graph_of("efficientnet")


@pytest.fixture(scope="module")
def ranges(graph: Path, card: Card, films: NDArray[np.uint8]) -> ActivationRanges:
    return choose(graph, measure(graph, films), FIRST, card, len(films))


@pytest.fixture(scope="module")
def int8(graph: Path, card: Card, ranges: ActivationRanges, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantise(graph, ranges, card, tmp_path_factory.mktemp("int8") / "model.int8.onnx")


def int8_weights(path: Path) -> dict[str, NDArray[np.int8]]:
    constants = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in constants.items()
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    }


def test_ranges_round_trip_and_stay_small(ranges: ActivationRanges, tmp_path: Path) -> None:
    path = ranges.save(tmp_path)
    assert path.name == RANGES_FILE == "activation_ranges.json"
    assert load_ranges(tmp_path) == ranges
    assert json.loads(path.read_text())["films"] == 12
    assert path.stat().st_size < 10_000
    assert all(
        len(f"{abs(value):g}".replace(".", "").lstrip("0")) <= 4 for pair in ranges.tensors.values() for value in pair
    )


def test_a_range_is_the_smallest_and_largest_value_over_the_films(graph: Path, films: NDArray[np.uint8]) -> None:
    measured = measure(graph, films)
    model = onnx.load(graph)
    (clip,) = [node for node in model.graph.node if node.op_type == "Clip"][:1]
    assert measured[clip.output[0]][0] == 0.0
    assert 0 < measured[clip.output[0]][1] <= 6.0
    (first, *_) = [node for node in model.graph.node if node.op_type == "Conv"]
    low, high = measured[first.output[0]]
    model.graph.output.append(onnx.helper.make_tensor_value_info(first.output[0], onnx.TensorProto.FLOAT, None))
    values = onnxruntime.InferenceSession(model.SerializeToString()).run([first.output[0]], {"films": films})[0]
    assert (low, high) == (float(f"{values.min():.4g}"), float(f"{values.max():.4g}"))


def test_no_films_no_ranges(graph: Path, films: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match=r"no films to measure .* films\.csv"):
        measure(graph, films[:0])


def test_the_same_inputs_give_the_same_bytes(
    graph: Path, card: Card, ranges: ActivationRanges, int8: Path, tmp_path: Path
) -> None:
    assert quantise(graph, ranges, card, tmp_path / "again.onnx").read_bytes() == int8.read_bytes()


def test_the_metadata_are_those_of_the_fp32_graph_but_for_the_precision(graph: Path, int8: Path) -> None:
    before, after = ({entry.key: entry.value for entry in onnx.load(path).metadata_props} for path in (graph, int8))
    assert after.pop("precision") == "int8"
    before.pop("precision")
    assert after == before


def test_weights_are_int8_per_channel(int8: Path) -> None:
    model, weights = onnx.load(int8), int8_weights(int8)
    onnx.checker.check_model(model, full_check=True)
    assert len(weights) == CONVOLUTIONS - FIRST
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    scaled = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    assert len(scaled) == len(weights)
    for node in scaled:
        assert [attribute.i for attribute in node.attribute if attribute.name == "axis"] == [0]
        assert list(constants[node.input[1]].dims) == [len(weights[node.input[0]])]


def test_no_two_weights_of_a_channel_overflow_16_bits(int8: Path) -> None:
    for weights in int8_weights(int8).values():
        largest = np.sort(np.abs(weights.reshape(len(weights), -1).astype(int)), axis=1)[:, -2:].sum(axis=1)
        assert (largest * 255 < 2**15).all()


def test_first_layers_heads_and_heat_maps_compute_in_fp32(int8: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(int8), options, providers=["CPUExecutionProvider"])
    model = onnx.load(tmp_path / "optimised.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QLinearConv") == CONVOLUTIONS - FIRST
    assert sum(kind in ("Conv", "FusedConv") for kind in kinds) == FIRST + 1  # the heat maps'
    assert sum(kind in ("Gemm", "QGemm") for kind in kinds) == 2
    assert kinds.count("QGemm") == 0


def test_answers_and_heat_maps_stay_close(graph: Path, int8: Path, card: Card, films: NDArray[np.uint8]) -> None:
    exact, quick = (OnnxRuntime(path, card).predict(films) for path in (graph, int8))
    assert np.abs(exact.probabilities - quick.probabilities).max() < 0.05
    assert np.abs(exact.logits - quick.logits).max() > 0
    exact_maps, other = (prediction.maps.reshape(len(films), -1) for prediction in (exact, quick))
    cosine = (exact_maps * other).sum(axis=1) / np.linalg.norm(exact_maps, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.97


def test_as_many_layers_as_keep_the_probabilities_are_quantised(
    graph: Path, card: Card, films: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges, path = quantise_within(graph, card, films, tmp_path)
    exact, quick = (OnnxRuntime(file, card).predict(films).probabilities for file in (graph, path))
    assert np.abs(exact - quick).max() <= MAX_CHANGE
    monkeypatch.setattr("osteolens.evaluation.int8.ranges.MAX_CHANGE", 0.0)
    last, _ = quantise_within(graph, card, films, tmp_path)
    assert len(layers(onnx.load(graph))) - len(last.fp32) == 2  # the last convolution and its clip
    assert set(ranges.fp32) < set(last.fp32)


def test_without_ranges_there_is_no_int8(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no activation_ranges\.json in .*osteolens quantise"):
        load_ranges(tmp_path)
    (tmp_path / RANGES_FILE).write_text('{"films": 0}')
    with pytest.raises(ExportError, match=r"activation_ranges\.json: .*osteolens quantise"):
        load_ranges(tmp_path)


def test_ranges_of_other_weights_are_refused(graph: Path, card: Card, ranges: ActivationRanges, tmp_path: Path) -> None:
    other = ranges.model_copy(update={"weights_sha256": "0" * 64})
    with pytest.raises(CardError, match=f"sha256 {'0' * 64}.*{card.weights_sha256}"):
        quantise(graph, other, card, tmp_path / "model.int8.onnx")
    assert not (tmp_path / "model.int8.onnx").exists()


def test_a_graph_of_another_card_is_refused(graph: Path, card: Card, ranges: ActivationRanges, tmp_path: Path) -> None:
    other = card.model_copy(update={"version": "9.9"})
    with pytest.raises(CardError, match=f"sha256 {card.sha256}.*{other.sha256}.*osteolens export"):
        quantise(graph, ranges, other, tmp_path / "model.int8.onnx")


def test_ranges_that_lack_a_tensor_or_name_another_are_refused(
    graph: Path, card: Card, ranges: ActivationRanges, tmp_path: Path
) -> None:
    gone = next(iter(ranges.tensors))
    fewer = {name: pair for name, pair in ranges.tensors.items() if name != gone}
    for tensors, named in ((fewer, gone), (ranges.tensors | {"aardvark": (0.0, 1.0)}, "aardvark")):
        with pytest.raises(ExportError, match=f"not those of .*: {named};"):
            quantise(graph, ranges.model_copy(update={"tensors": tensors}), card, tmp_path / "model.int8.onnx")
    every = ranges.model_copy(update={"fp32": tuple(layers(onnx.load(graph))), "tensors": {}})
    with pytest.raises(ExportError, match="none is left"):
        quantise(graph, every, card, tmp_path / "model.int8.onnx")


def test_layers_are_numbered_from_the_film(graph: Path) -> None:
    model = onnx.load(graph)
    depth = layers(model)
    convolutions = [depth[node.name] for node in model.graph.node if node.op_type == "Conv" and node.name in depth]
    assert convolutions == list(range(1, CONVOLUTIONS + 1))
    (unlisted,) = [node for node in model.graph.node if node.op_type == "Conv" and node.name not in depth]
    (after,) = [node for node in model.graph.node if unlisted.output[0] in node.input]
    assert after.output[0] == "maps"


def test_rounding_keeps_the_sum_of_a_kernel() -> None:
    kernel = np.array([0.4, 0.3, 0.4, 0.1, -0.2, 2.0, 0.0, 0.0, 0.0], np.float32).reshape(1, 1, 3, 3)
    rounded = round_weights(kernel, np.ones(1, np.float32))
    assert rounded.ravel().tolist() == [1, 0, 0, 0, 0, 2, 0, 0, 0]  # 3.0, where rounding each alone gives 2
    pointwise = np.array([[0.6, 0.6, 0.6], [1.2, 1.2, 1.2]], np.float32).reshape(2, 3, 1, 1)
    rounded = round_weights(pointwise, np.array([1, 2], np.float32))
    assert rounded.reshape(2, 3).tolist() == [[0, 1, 1], [0, 1, 1]]  # 1.8 and 1.8 are 2 steps, not 3


def test_rounding_moves_no_weight_by_a_step() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 5, 3, 3)).astype(np.float32)
    steps = np.abs(weights).max(axis=(1, 2, 3)) / 127
    rounded = round_weights(weights, steps)
    exact = weights / steps[:, None, None, None]
    assert np.array_equal(rounded, np.rint(rounded))
    assert np.abs(rounded - exact).max() < 1
    assert np.abs((rounded - exact).sum(axis=(2, 3))).max() <= 0.5 + 1e-3
