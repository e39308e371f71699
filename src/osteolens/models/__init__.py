"""The neural networks, and the model folders that their weights are stored in."""

from osteolens.models.base import KneeModel
from osteolens.models.build import build, for_inference
from osteolens.models.ensemble import Ensemble
from osteolens.models.folder import Model, load, load_backbone, save_ensemble, save_weights, untrained

__all__ = [
    "Ensemble", "KneeModel", "Model", "build", "for_inference", "load", "load_backbone", "save_ensemble",
    "save_weights", "untrained",
]  # fmt: skip
