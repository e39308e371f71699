"""YOLOv5 (Jocher et al. 2020, release 6) as a classifier; its layers are those of ultralytics.

ultralytics is imported when the first such model is built, and not before.
"""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from osteolens.errors import DataError
from osteolens.models.base import KneeModel

SCALES = {"yolov5n": (0.33, 0.25), "yolov5s": (0.33, 0.50), "yolov5m": (0.67, 0.75)}
"""Architectures, and the factors of each one's depth and width."""

CHANNELS = 1280
"""Channels of the feature map at any scale: the 1x1 convolution of ultralytics' `Classify` head gives as many."""

START = {"yolov5n": Path(__file__).parent / "start" / "yolov5n_backbone.safetensors"}
"""Weights to start from (COCO): layers 0 to 8. `start/README.md` names their source and licence."""


def build(architecture: str, labels: int, *, has_t_score: bool, pretrained: bool, dropout: float) -> KneeModel:
    """A YOLOv5 backbone and the convolution of the `Classify` head, with knee heads.

    Args:
        architecture: One of `SCALES`.
        labels: Number of classes.
        has_t_score: Whether the T-score head is used.
        pretrained: Start from COCO weights; the `Classify` convolution and the heads are new in any case.
        dropout: Share of pooled features dropped in training.

    Raises:
        DataError: There are no weights to start from for this architecture.
    """
    *stages, classify = _layers(*SCALES[architecture])
    if pretrained:
        _load_start(architecture, nn.Sequential(*stages))
    return KneeModel(
        nn.Sequential(*stages, classify.conv),
        CHANNELS,
        labels,
        has_t_score=has_t_score,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        dropout=dropout,
    )


def _layers(depth: float, width: float) -> Any:
    """What `ultralytics.nn.tasks.ClassificationModel` makes of this plan: a sequence of ten modules."""
    parse_model, initialise = _ultralytics()
    plan = {
        "nc": 1,  # the linear layer of `Classify` is not used
        "depth_multiple": depth,
        "width_multiple": width,
        "activation": "nn.SiLU()",  # an instance for each model; else all models of the process share it
        "backbone": [  # from, repeats, module, arguments: channels, kernel, stride, padding
            [-1, 1, "Conv", [64, 6, 2, 2]],
            [-1, 1, "Conv", [128, 3, 2]],
            [-1, 3, "C3", [128]],
            [-1, 1, "Conv", [256, 3, 2]],
            [-1, 6, "C3", [256]],
            [-1, 1, "Conv", [512, 3, 2]],
            [-1, 9, "C3", [512]],
            [-1, 1, "Conv", [1024, 3, 2]],
            [-1, 3, "C3", [1024]],
        ],
        "head": [[-1, 1, "Classify", ["nc"]]],
    }
    layers, _ = parse_model(plan, ch=3, verbose=False)
    initialise(layers)  # epsilon and momentum of the batch norms: the starting weights were trained with these
    return layers


def _load_start(architecture: str, stages: nn.Module) -> None:
    if architecture not in START:
        raise DataError(f"there are no weights to start {architecture} from: use yolov5n, or pretrained = false")
    state = load_file(START[architecture])
    stages.load_state_dict({name.removeprefix("model."): value.float() for name, value in state.items()})


@cache
def _ultralytics() -> tuple[Callable[..., Any], Callable[..., None]]:
    """Its parser of model plans, and what sets the batch norms of the result."""
    with _side_effects_undone():
        from ultralytics.nn.tasks import parse_model
        from ultralytics.utils.torch_utils import initialize_weights
    return parse_model, initialize_weights


@contextmanager
def _side_effects_undone() -> Iterator[None]:
    """Keep the import of ultralytics from changing the whole process.

    Left alone, it replaces `PIL.Image.open` (by one that installs a package when it meets an unknown picture) and
    `torch.save`, stops OpenCV's threads, sets environment variables that child processes inherit
    (`OMP_NUM_THREADS`), warning filters and print options, looks up two host names, and writes settings into the
    home directory and a line about it to the standard output.
    """
    environment, threads = dict(os.environ), cv2.getNumThreads()
    open_picture, save = Image.open, torch.save
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), np.printoptions():
        os.environ |= {"YOLO_CONFIG_DIR": folder, "YOLO_VERBOSE": "0", "YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0"}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(environment)
            Image.open, torch.save = open_picture, save
            cv2.setNumThreads(threads)
            torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]
