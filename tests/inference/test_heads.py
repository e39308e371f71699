"""Explanations from the graph's feature map and the heads alone, beside those of the whole PyTorch model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import knee_like

from osteolens.card import ONNX_FILE, load_card
from osteolens.exporting.graph import filled, load_graph, load_weights
from osteolens.exporting.onnx import to_onnx
from osteolens.films.prepare import prepare
from osteolens.inference.runtimes.eager import EagerRuntime
from osteolens.inference.runtimes.heads import HeadsRuntime
from osteolens.options import PERTURBING, Method

METHODS = [method for method in Method.__args__ if method not in {*PERTURBING, "none"}]
TARGETS = [0, 2]


def check(folder: Path, graph: Path, methods: list[Method]) -> None:
    eager, heads = EagerRuntime(folder), HeadsRuntime(folder, graph)
    film = prepare(knee_like(), load_card(folder).preprocess).array[None]
    _, features = eager.predict_with_features(film)
    for method in methods:
        expected = eager.explain(np.repeat(film, 2, axis=0), features.expand(2, -1, -1, -1), method, TARGETS)
        maps = heads.explain(film, method, TARGETS)
        assert maps.shape == expected.shape
        assert np.abs(maps - expected).max() < 1e-3 * expected.max(), method


def test_every_method_gives_the_map_of_the_whole_model(model_folder: Path, exports: Path) -> None:
    check(model_folder, exports / ONNX_FILE, METHODS)


def test_that_of_a_shipped_ensemble_too(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "weights" / "knee"
    onnx.save(filled(load_graph(folder, load_card(folder)), load_weights(folder)), tmp_path / ONNX_FILE)
    check(folder, tmp_path / ONNX_FILE, ["gradcam++", "eigencam"])


@pytest.mark.slow
def test_that_of_members_of_two_architectures_too(ensemble_folder: Path, tmp_path: Path) -> None:
    check(ensemble_folder, to_onnx(ensemble_folder, tmp_path), METHODS)


def test_no_backbone_is_built_for_it(exports: Path, model_folder: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.modules |= dict.fromkeys(['timm', 'ultralytics'])\n"  # importing one of them is an error
        "from osteolens.inference.runtimes.heads import HeadsRuntime\n"
        "HeadsRuntime(*map(Path, sys.argv[1:]))\n"
    )
    subprocess.run([sys.executable, "-c", code, model_folder, exports / ONNX_FILE], check=True)
