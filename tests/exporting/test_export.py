import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from support.scripts import run_script

from osteolens import models
from osteolens.card import load_card
from osteolens.errors import ExportError
from osteolens.exporting.check import max_difference, max_map_difference
from osteolens.exporting.onnx import to_onnx
from osteolens.exporting.owner import exported_name
from osteolens.exporting.torchscript import to_torchscript
from osteolens.inference.runtimes import Prediction, load_runtime
from osteolens.inference.runtimes.eager import EagerRuntime
from osteolens.inference.runtimes.onnx import OnnxRuntime
from osteolens.inference.runtimes.torchscript import TorchScriptRuntime


def films(batch: int, side: int = 96) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 1, side, side), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_exports_answer_as_the_eager_model(batch: int, model_folder: Path, exports: Path) -> None:
    eager, card = EagerRuntime(model_folder).predict(films(batch)), load_card(model_folder)
    for backend in ("torchscript", "onnx-fp32"):
        runtime = load_runtime(exports, card, backend)
        for _ in range(3):
            answered = runtime.predict(films(batch))
            assert max_difference(eager, answered) < 1e-4
            assert max_map_difference(eager, answered) < 1e-3
            np.testing.assert_allclose(answered.pooled, eager.pooled, rtol=1e-5, atol=1e-4)


SINGLE = {"logits": [3], "t_score": [], "maps": [3, 3, 3], "pooled": [256]}
YOLOV5 = SINGLE | {"pooled": [1280]}
PAIR = SINGLE | {"pooled": [2560], "member_logits": [2, 3], "member_t_score": [2]}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "outputs"), [("yolov5", YOLOV5), ("ensemble", PAIR)])
def test_exports_of_the_other_kinds_do_so_too(
    kind: str,
    outputs: dict[str, list[int]],
    member_folders: list[Path],
    ensemble_folder: Path,
    graph_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = {"yolov5": member_folders[1], "ensemble": ensemble_folder}[kind]
    eager = EagerRuntime(folder)
    scripted = TorchScriptRuntime(to_torchscript(folder, tmp_path), eager.card)
    graph = OnnxRuntime(graph_of(kind), eager.card)
    assert {output.name: output.shape[1:] for output in graph.session.get_outputs()} == outputs
    for batch in (1, 2, 7, 32):
        expected = eager.predict(films(batch))
        assert (expected.member_logits is not None) == (kind == "ensemble")
        for runtime in (scripted, graph):
            answered = runtime.predict(films(batch))
            assert max_difference(expected, answered) < 1e-4
            assert max_map_difference(expected, answered) < 1e-3


def test_torchscript_has_features_and_head(model_folder: Path, exports: Path) -> None:
    module = torch.jit.load(str(exports / "model.torchscript.pt"))
    x = torch.from_numpy(films(2))
    with torch.no_grad():
        whole, parts = module(x), module.head(module.features(x))
        features = models.load(model_folder)[0].features(x)
    torch.testing.assert_close(whole[0], parts[0])
    torch.testing.assert_close(module.features(x), features, atol=1e-4, rtol=1e-4)


def test_onnx_says_what_it_is(model_folder: Path, exports: Path) -> None:
    card = load_card(model_folder)
    session = onnxruntime.InferenceSession(str(exports / "model.onnx"))
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["card_sha256"] == card.sha256
    assert json.loads(metadata["labels"]) == list(card.labels)
    assert int(metadata["opset"]) == onnx.load(str(exports / "model.onnx")).opset_import[0].version
    (films_input,) = session.get_inputs()
    assert films_input.type == "tensor(uint8)"
    assert films_input.shape[1:] == [1, 96, 96]
    assert isinstance(films_input.shape[0], str)  # any batch
    assert {output.name: output.shape[1:] for output in session.get_outputs()} == SINGLE


@pytest.mark.parametrize(("field", "named"), [("logits", ""), ("t_score", ""), ("maps", " in its heat maps")])
def test_an_export_that_differs_leaves_no_file(
    field: str, named: str, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = TorchScriptRuntime.predict

    def wrong(self: TorchScriptRuntime, films: np.ndarray) -> Prediction:
        return replace(predict(self, films), **{field: np.zeros_like(getattr(predict(self, films), field))})

    monkeypatch.setattr(TorchScriptRuntime, "predict", wrong)
    with pytest.raises(ExportError, match=rf"differs from the eager model by [\d.]+{named} at batch 1"):
        to_torchscript(model_folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


MAPS, POOLED = np.array([[[[4.0, 0.0]], [[1.0, 1.0]]]], np.float32), np.zeros((1, 2), np.float32)


def predicted(t_score: float = 0.0, **others: np.ndarray) -> Prediction:
    return Prediction(np.zeros((1, 2), np.float32), np.array([t_score], np.float32), MAPS, POOLED, **others)


def test_a_wrong_t_score_alone_fails_too() -> None:
    first, other, nothing = (predicted(value) for value in (-1.0, -1.5, np.nan))
    assert max_difference(first, other) == pytest.approx(0.5)
    assert max_difference(nothing, nothing) == 0.0
    assert not max_difference(first, nothing) < 1e-4


def test_a_wrong_member_alone_fails_too() -> None:
    members, t_scores = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2), np.float32)
    right = predicted(member_logits=members, member_t_score=t_scores)
    three_to_one = np.array([[[0.0, 0.0], [np.log(3), 0.0]]], np.float32)
    assert max_difference(right, right) == 0.0
    assert max_difference(right, replace(right, member_logits=three_to_one)) == pytest.approx(0.25)
    half = np.array([[0.0, 0.5]], np.float32)
    assert max_difference(right, replace(right, member_t_score=half)) == pytest.approx(0.5)
    assert not max_difference(right, predicted()) < 1e-4


def test_a_map_differs_by_its_share_of_the_film_s_largest_value() -> None:
    other = replace(predicted(), maps=np.array([[[[4.0, 0.0]], [[1.0, 1.5]]]], np.float32))
    assert max_map_difference(predicted(), other) == pytest.approx(0.125)  # 0.5 of 4
    empty = replace(predicted(), maps=np.zeros_like(MAPS))
    assert max_map_difference(empty, empty) == 0.0


@pytest.mark.parametrize("script", ["to_torchscript", "to_onnx"])
def test_scripts_fail_in_one_line(script: str, model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / "card.json", tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"other weights")
    failed = run_script(ROOT / "export" / f"{script}.py", tmp_path, "--out", tmp_path / "out")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert "does not belong to its card" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_models_never_overwrite_each_other(model_folder: Path, exports: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exports, tmp_path / "build"))
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(model_folder / "weights.safetensors", other)
    load_card(model_folder).model_copy(update={"name": "other"}).save(other)
    for file, export in (("model.onnx", to_onnx), ("model.torchscript.pt", to_torchscript)):
        assert exported_name(out / file) == "efficientnet"
        with pytest.raises(ExportError, match=rf"{file} is that of efficientnet, and other would overwrite it"):
            export(other, out)
        assert (out / file).read_bytes() == (exports / file).read_bytes()


def test_a_file_of_no_model_has_no_name(tmp_path: Path) -> None:
    for file in ("model.onnx", "model.torchscript.pt"):
        assert exported_name(tmp_path / file) is None
        (tmp_path / file).write_bytes(b"something else")
        assert exported_name(tmp_path / file) is None
