"""Keeps PyTorch out of TorchServe's workers until it is needed.

TorchServe's worker imports torch for one `isinstance` that our answers never reach: that takes a second and a half of
the start and 300 MB of each worker. It puts the archive's folder first on PYTHONPATH, where Python finds this file when
it starts and runs it before anything else. The first `import torch` then gives a module that loads itself when it is
first used, or imported again (`importlib.util.LazyLoader`).
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader


class _FirstTorch:
    """Finds torch once; later imports go the usual way."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG003
        if name != "torch":
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


sys.meta_path.insert(0, _FirstTorch)
