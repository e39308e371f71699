"""Loading of exported files: what is refused, and what the message says to do."""

from pathlib import Path

import onnx
import pytest

from osteolens.card import Card, load_card
from osteolens.errors import CardError, ExportError
from osteolens.inference.runtimes import load_runtime

AGAIN = "osteolens export weights/efficientnet"


@pytest.fixture(scope="module")
def card(model_folder: Path) -> Card:
    return load_card(model_folder)


@pytest.fixture(scope="module")
def graph(exports: Path) -> onnx.ModelProto:
    return onnx.load(exports / "model.onnx")


def saved(graph: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(graph, folder / "model.onnx")
    return folder


def changed(graph: onnx.ModelProto, **facts: str) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    known = {fact.key: fact.value for fact in graph.metadata_props}
    onnx.helper.set_model_props(copy, {name: value for name, value in (known | facts).items() if value})
    return copy


@pytest.mark.parametrize(("backend", "form"), [("onnx-fp32", ""), ("torchscript", " --format torchscript")])
def test_an_export_of_another_card_is_refused_with_both_hashes(
    backend: str, form: str, card: Card, exports: Path
) -> None:
    other = card.model_copy(update={"version": "9.9"})
    with pytest.raises(CardError, match=rf"(?s){card.sha256}.*{other.sha256}.*{AGAIN}{form}$"):
        load_runtime(exports, other, backend)


def test_a_graph_of_an_older_opset_says_how_to_export_again(graph: onnx.ModelProto, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=rf"has opset 17 and not 20; .*{AGAIN}"):
        load_runtime(saved(changed(graph, opset="17"), tmp_path), card, "onnx-fp32")
    with pytest.raises(ExportError, match="has opset unknown and not 20"):
        load_runtime(saved(changed(graph, opset=""), tmp_path), card, "onnx-fp32")


def test_a_graph_without_heat_maps_says_how_to_export_again(graph: onnx.ModelProto, card: Card, tmp_path: Path) -> None:
    without = changed(graph)
    outputs = [output for output in without.graph.output if output.name in ("logits", "t_score")]
    del without.graph.output[:]
    without.graph.output.extend(outputs)
    with pytest.raises(ExportError, match=rf"gives logits, t_score and not logits, t_score, maps, pooled; .*{AGAIN}"):
        load_runtime(saved(without, tmp_path), card, "onnx-fp32")


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-int8", "torchscript"])
@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_a_file_that_is_missing_or_broken_is_named(
    backend: str, content: bytes | None, card: Card, tmp_path: Path
) -> None:
    for name in ("model.onnx", "model.int8.onnx", "model.torchscript.pt"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(ExportError, match=r"cannot be loaded: .*export it again"):
        load_runtime(tmp_path, card, backend)


def test_an_unknown_backend_is_answered_with_the_known_ones(card: Card, exports: Path) -> None:
    with pytest.raises(ExportError, match="unknown backend 'tensorrt': use one of onnx-int8, onnx-fp32"):
        load_runtime(exports, card, "tensorrt")
