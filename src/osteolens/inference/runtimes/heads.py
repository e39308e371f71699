"""Explanations by gradients where an ONNX graph computes the feature map: PyTorch holds the heads alone.

No backbone is built here, so neither timm nor ultralytics is imported.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto
from safetensors.torch import load_file
from torch import nn

from osteolens.card import WEIGHTS_FILE, Card, load_card
from osteolens.inference import gradcam
from osteolens.inference.runtimes.onnx import INPUT
from osteolens.models.base import KneeModel
from osteolens.models.ensemble import Ensemble
from osteolens.options import Method


class HeadsRuntime:
    """The heads of a model, behind the feature map of its graph.

    Args:
        folder: A model folder: `card.json` and `weights.safetensors`.
        graph: Its fp32 graph.
    """

    def __init__(self, folder: Path, graph: Path) -> None:
        self.model = _heads(folder, load_card(folder))
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = ort.InferenceSession(
            _features_graph(onnx.load(graph)).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def features(self, films: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The feature maps float32 [N, C, h, w] (of an ensemble's members side by side) of films uint8 [N, 1, H, W]."""
        return np.concatenate(self.session.run(None, {INPUT: films}), axis=1)

    def explain(self, films: NDArray[np.uint8], method: Method, targets: list[int]) -> NDArray[np.float32]:
        """Raw heat maps float32 [N, h, w] of one film; see `osteolens.inference.gradcam.explain`."""
        features = torch.from_numpy(self.features(films)).expand(len(targets), -1, -1, -1)
        return gradcam.explain(self.model, torch.from_numpy(films), features, method, targets)


def _heads(folder: Path, card: Card) -> KneeModel | Ensemble:
    weights = {
        name: value.float() for name, value in load_file(folder / WEIGHTS_FILE).items() if "backbone." not in name
    }
    prefixes = [f"members.{index}." for index in range(len(card.members))] or [""]
    members = []
    for prefix in prefixes:
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        mean, std = own["mean"].flatten().tolist(), own["std"].flatten().tolist()
        channels, labels = own["classifier.weight"].shape[1], len(card.labels)
        member = KneeModel(nn.Identity(), channels, labels, has_t_score=card.has_t_score, mean=mean, std=std)
        member.load_state_dict(own)
        members.append(member.eval().requires_grad_(False))
    return Ensemble(members) if card.members else members[0]


def _features_graph(model: ModelProto) -> ModelProto:
    """The graph with nothing but the feature maps as outputs: what the means `pooled` are taken of, in order."""
    producers = {output: node for node in model.graph.node for output in node.output}
    names = [node.input[0] for node in _pools(producers["pooled"], producers)]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    return model


def _pools(node: NodeProto, producers: dict[str, NodeProto]) -> Iterable[NodeProto]:
    return [node] if node.op_type == "ReduceMean" else [producers[name] for name in node.input]
