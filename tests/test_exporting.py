import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import script_command

from osteolens import exporting, models
from osteolens.card import load_card
from osteolens.errors import ExportError
from osteolens.runtime import Prediction
from osteolens.runtime.eager import EagerRuntime
from osteolens.runtime.onnx import OnnxRuntime
from osteolens.runtime.torchscript import TorchScriptRuntime


def films(batch: int, side: int = 96) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 1, side, side), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_exports_answer_as_the_eager_model(batch: int, model_folder: Path, exports: Path) -> None:
    eager = EagerRuntime(model_folder).predict(films(batch))
    for runtime in (TorchScriptRuntime(exports / "model.torchscript.pt"), OnnxRuntime(exports / "model.onnx")):
        for _ in range(3):
            assert exporting.max_difference(eager, runtime.predict(films(batch))) < 1e-4


SINGLE = {"logits": [3], "t_score": []}
MEMBERS = {"member_logits": [2, 3], "member_t_score": [2]}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "outputs"), [("yolov5", SINGLE), ("ensemble", SINGLE | MEMBERS)])
def test_exports_of_the_other_kinds_do_so_too(
    kind: str, outputs: dict[str, list[int]], member_folders: list[Path], ensemble_folder: Path, tmp_path: Path
) -> None:
    folder = {"yolov5": member_folders[1], "ensemble": ensemble_folder}[kind]
    eager = EagerRuntime(folder)
    scripted = TorchScriptRuntime(exporting.to_torchscript(folder, tmp_path))
    graph = OnnxRuntime(exporting.to_onnx(folder, tmp_path))
    assert {output.name: output.shape[1:] for output in graph.session.get_outputs()} == outputs
    for batch in (1, 2, 7, 32):
        expected = eager.predict(films(batch))
        assert (expected.member_logits is not None) == (kind == "ensemble")
        for runtime in (scripted, graph):
            assert exporting.max_difference(expected, runtime.predict(films(batch))) < 1e-4


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


def test_an_export_that_differs_leaves_no_file(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(self: TorchScriptRuntime, films: np.ndarray) -> Prediction:
        return Prediction(np.zeros((len(films), 3), np.float32), np.zeros(len(films), np.float32))

    monkeypatch.setattr(TorchScriptRuntime, "predict", wrong)
    with pytest.raises(ExportError, match=r"differs from the eager model by .* at batch 1"):
        exporting.to_torchscript(model_folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_t_score_alone_fails_too() -> None:
    logits = np.zeros((1, 3), np.float32)
    one, other = (Prediction(logits, np.array([value], np.float32)) for value in (-1.0, -1.5))
    assert exporting.max_difference(one, other) == pytest.approx(0.5)
    nothing = Prediction(logits, np.array([np.nan], np.float32))
    assert exporting.max_difference(nothing, nothing) == 0.0
    assert not exporting.max_difference(one, nothing) < 1e-4


def test_a_wrong_member_alone_fails_too() -> None:
    logits, t_score = np.zeros((1, 2), np.float32), np.zeros(1, np.float32)
    members, t_scores = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2), np.float32)
    right = Prediction(logits, t_score, members, t_scores)
    other_logits = Prediction(logits, t_score, np.array([[[0.0, 0.0], [np.log(3), 0.0]]], np.float32), t_scores)
    other_t_score = Prediction(logits, t_score, members, np.array([[0.0, 0.5]], np.float32))
    assert exporting.max_difference(right, right) == 0.0
    assert exporting.max_difference(right, other_logits) == pytest.approx(0.25)
    assert exporting.max_difference(right, other_t_score) == pytest.approx(0.5)
    assert not exporting.max_difference(right, Prediction(logits, t_score)) < 1e-4


@pytest.mark.parametrize("script", ["to_torchscript", "to_onnx"])
def test_scripts_fail_in_one_line(script: str, model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / "card.json", tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"other weights")
    failed = subprocess.run(
        [*script_command(script), tmp_path, "--out", tmp_path / "out"], check=False, capture_output=True, text=True
    )
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
    assert "does not belong to its card" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
