"""The architectures and how they are found."""

from osteolens.models.base import KneeModel
from osteolens.models.registry import build, for_inference, load, save_weights

__all__ = ["KneeModel", "build", "for_inference", "load", "save_weights"]
