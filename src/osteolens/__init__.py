"""OsteoLens reads antero-posterior knee X-rays for osteoporosis and explains each answer with Grad-CAM.

From Python: `osteolens.Client`, `osteolens.AsyncClient` and `osteolens.batch.run`. Research software, not a diagnostic
device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osteolens import batch
    from osteolens.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "batch"]


def __getattr__(name: str) -> Any:
    # Importing the package must stay light: what a client or a batch needs comes when somebody asks for one.
    if name == "batch":
        return import_module("osteolens.batch")
    if name in __all__:
        return getattr(import_module("osteolens.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
