"""Run a model: one interface, three backends."""

from osteolens.inference.runtimes.base import Prediction, Runtime
from osteolens.inference.runtimes.loading import BACKENDS, Backend, load_runtime

__all__ = ["BACKENDS", "Backend", "Prediction", "Runtime", "load_runtime"]
