import copy
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from conftest import encoded, knee_like
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from osteolens import models
from osteolens.errors import DataError, UnreadableImage
from osteolens.films.read import read
from osteolens.models import KneeModel, yolov5


@pytest.fixture
def films() -> Tensor:
    return torch.randint(0, 256, (3, 1, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def build(architecture: str = "yolov5n", *, pretrained: bool = False) -> KneeModel:
    return models.build(architecture, 3, has_t_score=True, pretrained=pretrained)


# Channels after layers 0, 1, 3, 5, 7 and bottlenecks in layers 2, 4, 6, 8 as published: 64 to 1024 and 3, 6, 9, 3,
# times width and depth.
@pytest.mark.parametrize(
    ("architecture", "channels", "bottlenecks"),
    [
        ("yolov5n", [16, 32, 64, 128, 256], [1, 2, 3, 1]),
        ("yolov5s", [32, 64, 128, 256, 512], [1, 2, 3, 1]),
        ("yolov5m", [48, 96, 192, 384, 768], [2, 4, 6, 2]),
    ],
)
def test_it_is_the_published_backbone(
    architecture: str, channels: list[int], bottlenecks: list[int], films: Tensor
) -> None:
    model = build(architecture).eval()
    layers = list(model.backbone)
    assert [layers[index].conv.out_channels for index in (0, 1, 3, 5, 7)] == channels
    assert [len(layers[index].m) for index in (2, 4, 6, 8)] == bottlenecks
    assert layers[9].conv.weight.shape == (1280, channels[-1], 1, 1)
    assert {(norm.eps, norm.momentum) for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {(1e-3, 0.03)}
    with torch.no_grad():
        features = model.features(films)
        logits, t_score = model(films)
    assert features.shape == (3, 1280, 2, 3)
    torch.testing.assert_close(logits, features.mean(dim=(2, 3)) @ model.classifier.weight.T + model.classifier.bias)
    assert t_score.shape == (3,)


def test_grey_values_reach_it_between_0_and_1() -> None:
    seen: list[Tensor] = []
    model = build().eval()
    model.backbone[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(32, 11)[None, None, :, :32])
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][0, :, 0, :3].tolist() == [[0.0, pytest.approx(0.2), 1.0]] * 3


def test_folding_batch_norms_changes_no_answer(films: Tensor) -> None:
    torch.manual_seed(0)
    model = build(pretrained=True).train()
    with torch.no_grad():
        for _ in range(3):
            model(films)
    model.eval()
    folded = models.for_inference(copy.deepcopy(model))
    with torch.no_grad():
        torch.testing.assert_close(folded.features(films), model.features(films), atol=1e-4, rtol=1e-4)
    assert not [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]


def test_starting_weights_are_loaded() -> None:
    state = build(pretrained=True).backbone.state_dict()
    stored = load_file(yolov5.START["yolov5n"])
    assert {name for name in state if not name.startswith("9.")} == {name.removeprefix("model.") for name in stored}
    assert all(torch.equal(state[name.removeprefix("model.")], value.float()) for name, value in stored.items())
    # As the checkpoint has them: it was fp16 itself.
    assert state["0.conv.weight"][3, 1, 2, :3].tolist() == [-0.1610107421875, -0.10076904296875, -0.1092529296875]
    assert state["8.cv3.bn.running_var"][:3].tolist() == [0.271240234375, 0.38037109375, 0.22265625]


@pytest.mark.parametrize("architecture", ["yolov5s", "yolov5m"])
def test_there_are_no_starting_weights_for_larger_ones(architecture: str) -> None:
    with pytest.raises(DataError, match=r"yolov5n, or pretrained = false"):
        build(architecture, pretrained=True)


def test_two_models_share_no_layer() -> None:
    first, other = build(), build()
    assert not set(first.modules()) & set(other.modules())


BUILD_IN_A_FRESH_PROCESS = """
import json, os, socket, sys, threading, warnings
import cv2, numpy, torch
from PIL import Image, ImageFile
from osteolens import models
assert "ultralytics" not in sys.modules
def refuse(*args, **kwargs):
    raise AssertionError(f"network: {args}")
socket.getaddrinfo = socket.socket.connect = refuse
cv2.setNumThreads(2)
def state():
    return [
        dict(os.environ), str(warnings.filters), cv2.getNumThreads(), torch.get_num_threads(), str(Image.open),
        str(torch.save), ImageFile.LOAD_TRUNCATED_IMAGES, str(numpy.get_printoptions()), str(torch.rand(3, 40) * 0),
        threading.active_count(), str(cv2.imread), str(cv2.imshow), os.listdir(os.environ["TMPDIR"]),
    ]
before = state()
models.build("yolov5n", 3, has_t_score=True, pretrained=True)
assert "ultralytics" in sys.modules
print(json.dumps([before, state()]))
"""


def test_building_one_changes_nothing_else_in_the_process(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "OMP_", "YOLO_"))}
    done = subprocess.run(
        [sys.executable, "-c", BUILD_IN_A_FRESH_PROCESS],
        cwd=home, env=environment | {"HOME": str(home), "TMPDIR": str(temporary)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    before, after = json.loads(done.stdout)  # which also says that nothing else was printed
    assert after == before
    assert list(home.iterdir()) == []


def test_pictures_are_read_as_before() -> None:
    build()
    film = encoded(knee_like(), "JPEG")
    with pytest.raises(UnreadableImage):
        read(film[: len(film) // 2])
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(Path(__file__))
    assert Image.open.__module__ == "PIL.Image"


def test_opencv_is_the_one_without_windows() -> None:
    installed = {(distribution.metadata["Name"] or "").lower() for distribution in importlib.metadata.distributions()}
    assert {name for name in installed if name.startswith("opencv")} == {"opencv-python-headless"}
    (gui,) = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    assert gui.split() == ["GUI:", "NONE"]
