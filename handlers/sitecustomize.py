"""Keeps PyTorch out of TorchServe's workers until it is needed.

TorchServe's worker imports torch for one `isinstance` that our answers never reach. Where PyTorch is installed, that
takes a second and a half of the start and 300 MB of each worker; where it is not, the worker would not start. The
archive's folder is first on PYTHONPATH, where Python finds this file when it starts and runs it before anything else.
The first `import torch` then gives a module that loads itself when it is first used, or imported again
(`importlib.util.LazyLoader`), and without PyTorch an empty one with a class `Tensor` that nothing is an instance of.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _Empty(Loader):
    """Stands in for a torch that is not installed; `osteolens.serving.worker` takes it away again."""

    def exec_module(self, module: ModuleType) -> None:
        module.Tensor = type("Tensor", (), {})


class _FirstTorch:
    """Finds torch once; later imports go the usual way."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG003
        if name != "torch":
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return ModuleSpec(name, _Empty())
        spec.loader = LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _FirstTorch)
