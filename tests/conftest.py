"""Made-up films and a small model, so that no test needs real data or a download.

PyTorch is imported by the fixtures that need it: most tests do not, and start in a second without it.
"""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from osteolens.card import Card, PreprocessSpec, TrainingData, file_sha256
from osteolens.labels import LABELS

ROOT = Path(__file__).parents[1]
pytest_plugins = ["support.fixtures"]

# A shell's background job ignores Ctrl-C, and so would every program that a test starts and stops by it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def knee_like(height: int = 300, width: int = 240, seed: int = 0) -> NDArray[np.uint8]:
    """Two bright bones with a gap on a dark ground, and some grain: uint8 [height, width]; no two seeds alike."""
    random = np.random.default_rng(seed)
    middle, wide, level = random.uniform((0.4, 5, 0.35), (0.6, 8, 0.65))
    rows, columns = np.mgrid[0:height, 0:width]
    shaft = np.exp(-(((columns - width * middle) / (width / wide)) ** 2))
    joint = 1 - 0.8 * np.exp(-(((rows - height * level) / (height / 40)) ** 2))
    grain = random.normal(0, 6, (height, width))
    return np.clip(20 + 200 * shaft * joint + grain, 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8] | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def make_model_folder(
    folder: Path,
    *,
    side: int = 96,
    has_t_score: bool = True,
    seed: int = 0,
    architecture: str = "tf_efficientnet_lite0",
) -> Path:
    """A model folder as training writes it, with packaged starting weights under random heads."""
    import torch

    from osteolens import models

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = models.build(architecture, len(LABELS), has_t_score=has_t_score, pretrained=True)
    torch.nn.init.normal_(model.classifier.weight, std=0.1)  # spread the answers of different films
    weights = models.save_weights(model, folder)
    card = Card(
        name=folder.name,
        architecture=architecture,
        labels=LABELS,
        has_t_score=has_t_score,
        preprocess=PreprocessSpec(height=side, width=side),
        weights_sha256=file_sha256(weights),
        data=TrainingData(name="none: random heads", split="none", films={}, groups={}),
    )
    card.save(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("models") / "efficientnet")


@pytest.fixture(scope="session")
def member_folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An EfficientNet and a YOLOv5."""
    folder = tmp_path_factory.mktemp("members")
    return [
        make_model_folder(folder / "efficientnet", seed=1),
        make_model_folder(folder / "yolov5", seed=2, architecture="yolov5n"),
    ]


@pytest.fixture(scope="session")
def ensemble_folder(member_folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both of them in one model folder."""
    from osteolens import models

    folder = tmp_path_factory.mktemp("ensemble") / "knee"
    models.save_ensemble(member_folders, folder, "knee")
    return folder


def script_command(script: str) -> list[str]:
    """How a script of export/ is run."""
    return [sys.executable, str(ROOT / "export" / f"{script}.py")]


@pytest.fixture(scope="session")
def exports(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both exports of the small model, made by the scripts as the README runs them."""
    out = tmp_path_factory.mktemp("exports")
    for script in ("to_torchscript", "to_onnx"):
        subprocess.run([*script_command(script), model_folder, "--out", out], check=True, capture_output=True)
    return out
