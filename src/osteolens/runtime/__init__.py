"""One way to ask a model, three backends behind it."""

from osteolens.runtime.base import Prediction, Runtime

__all__ = ["Prediction", "Runtime"]
