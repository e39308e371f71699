"""Made-up films and a small model, so that no test needs real data or a download.

PyTorch is imported by the fixtures that need it: most tests do not, and start in a second without it.
"""

import fcntl
import gc
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.scripts import run_script

from osteolens.card import Card, PreprocessSpec, TrainingData, file_sha256
from osteolens.labels import LABELS

if TYPE_CHECKING:
    from osteolens.models import KneeModel

ROOT = Path(__file__).parents[1]
pytest_plugins = ["support.fixtures", "support.order"]
SMALL = "test_efficientnet"
"""An EfficientNet of timm with few layers: it is trained, exported and asked in a fraction of the time."""

# A shell's background job ignores Ctrl-C, and so would every program that a test starts and stops by it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What hundreds of modules hold stays: to look through it for garbage, while they are imported and ever after, takes a
# sixth of the time of their import.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


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
    folder: Path, *, side: int = 96, has_t_score: bool = True, seed: int = 0, architecture: str = SMALL
) -> Path:
    """A model folder as training writes it, with packaged starting weights, if there are any, under random heads."""
    import torch

    from osteolens import models

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = models.build(architecture, len(LABELS), has_t_score=has_t_score, pretrained=architecture != SMALL)
    if architecture == SMALL:
        settle(model)
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


def settle(model: "KneeModel") -> None:
    """Give batch norms the statistics of films, as training leaves them: else random weights answer all films alike."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train().features(torch.from_numpy(np.stack([knee_like(96, 96, seed)[None] for seed in range(8)])))
    model.eval()


Shared = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Gives a folder by name, which the first of the processes that run tests side by side makes for all of them."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder = base / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with folder.with_name(f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                draft = folder.with_name(f"{name}.draft")
                make(draft)
                draft.rename(folder)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def model_folder(shared: Shared) -> Path:
    """A model folder `efficientnet` of the small architecture."""
    return shared("small", lambda draft: make_model_folder(draft / "efficientnet")) / "efficientnet"


@pytest.fixture(scope="session")
def exports(model_folder: Path, shared: Shared) -> Path:
    """Both exports of the small model, made by the scripts."""

    def make(draft: Path) -> None:
        for script in ("to_torchscript", "to_onnx"):
            done = run_script(ROOT / "export" / f"{script}.py", model_folder, "--out", draft)
            assert done.returncode == 0, done.stderr

    return shared("exports", make)


@pytest.fixture(scope="session")
def member_folders(shared: Shared) -> list[Path]:
    """An EfficientNet-Lite0, as it is shipped, and a YOLOv5."""

    def make(draft: Path) -> None:
        make_model_folder(draft / "efficientnet", seed=0, architecture="tf_efficientnet_lite0")
        make_model_folder(draft / "yolov5", seed=2, architecture="yolov5n")

    folder = shared("members", make)
    return [folder / "efficientnet", folder / "yolov5"]


@pytest.fixture(scope="session")
def ensemble_folder(member_folders: list[Path], shared: Shared) -> Path:
    """Both of them in one model folder."""
    from osteolens import models

    return shared("ensemble", lambda draft: models.save_ensemble(member_folders, draft / "knee", "knee")) / "knee"


@pytest.fixture(scope="session")
def graph_of(member_folders: list[Path], ensemble_folder: Path, shared: Shared) -> Callable[[str], Path]:
    """Gives the ONNX graph of `efficientnet`, `yolov5` or the `ensemble` of both: each takes many seconds, once."""
    folders = {"efficientnet": member_folders[0], "yolov5": member_folders[1], "ensemble": ensemble_folder}

    def graph(kind: str) -> Path:
        from osteolens.exporting.onnx import to_onnx

        return shared(f"{kind}-graph", lambda draft: to_onnx(folders[kind], draft)) / "model.onnx"

    return graph
