"""The architectures and how they are found."""

from osteolens.models.base import KneeModel
from osteolens.models.build import Model, build, for_inference, load, load_backbone, save_ensemble, save_weights
from osteolens.models.ensemble import Ensemble

__all__ = [
    "Ensemble", "KneeModel", "Model", "build", "for_inference", "load", "load_backbone", "save_ensemble",
    "save_weights",
]  # fmt: skip
