"""Starts the uvicorn engine as a child process, and stops all of it again."""

import sys
from importlib.util import find_spec
from pathlib import Path

import osteolens
from osteolens.errors import ServerError
from osteolens.serving.asgi.archives import check_code
from osteolens.serving.surroundings import clean_environment
from osteolens.serving.torchserve import KEY_FILE, Server

_PACKAGES = ("httptools", "python_multipart", "starlette", "uvicorn", "uvloop")


class UvicornServer(Server):
    """The same archives, settings, keys and addresses as `osteolens.serving.torchserve.Server` has, without Java."""

    engine = "uvicorn"

    def _check_engine(self) -> None:
        missing = [
            name for name in ("httptools", "python_multipart", "starlette", "uvicorn", "uvloop") if not find_spec(name)
        ]
        if missing:
            raise ServerError(f"the engine uvicorn needs {', '.join(missing)}: pip install 'osteolens[serve]'")
        for archive in sorted(self.model_store.glob("*.mar")):
            check_code(archive)

    def _command(self, private: Path) -> list[str | Path]:
        assert self.folder  # noqa: S101 - for mypy
        return [
            sys.executable, "-P", "-m", "osteolens.serving.asgi", private, self.folder / KEY_FILE, self.folder / "logs"
        ]  # fmt: skip

    def _environment(self, private: Path, logs: Path) -> dict[str, str]:  # noqa: ARG002 - TorchServe needs it
        # Numpy's library of linear algebra starts as many threads as there are cores when it is loaded.
        threads = {"OPENBLAS_NUM_THREADS": "1"}
        package = {"PYTHONPATH": str(Path(osteolens.__file__).parents[1]), "TMPDIR": str(private)}
        return threads | clean_environment() | package
