"""Unpacks archives for workers that run the installed code, where each worker of TorchServe runs an archive's own."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import osteolens
from osteolens.errors import ServerError

_CODE, _NOT_THE_ANSWER = "osteolens/", "osteolens/serving/"


class Model(NamedTuple):
    """An unpacked archive.

    Attributes:
        name: What it is served as.
        version: Of its manifest.
        archive: File name.
        folder: Holds the card, the graphs and the weights.
        handler: The part `handler` of its model-config.yaml.
        response_timeout: Seconds that a worker may take for a request.
        startup_timeout: Seconds that a worker may take to load it.
    """

    name: str
    version: str
    archive: str
    folder: str
    handler: dict[str, Any]
    response_timeout: float
    startup_timeout: float


def unpack(archive: Path, folder: Path, settings: dict[str, str]) -> Model:
    """Unpack an archive of export/build_mar.py into a new folder.

    Args:
        archive: Its checksum has been verified.
        folder: Gets a folder with the model's name.
        settings: Those of config.properties, for timeouts that the archive does not name.
    """
    with zipfile.ZipFile(archive) as stored:
        manifest = json.loads(stored.read("MAR-INF/MANIFEST.json"))["model"]
        target = folder / manifest["modelName"]
        stored.extractall(target, [name for name in stored.namelist() if not name.startswith(_CODE)])
    config = yaml.safe_load((target / "model-config.yaml").read_text())
    times = {
        name: float(config.get(f"{name}Timeout", settings.get(f"default_{name}_timeout", seconds)))
        for name, seconds in (("response", 60), ("startup", 120))
    }
    return Model(
        manifest["modelName"], manifest["modelVersion"], archive.name, str(target), config["handler"],
        times["response"], times["startup"],
    )  # fmt: skip


def check_code(archive: Path) -> None:
    """Make sure that an archive was built from the code that is installed: else its answers would be another version's.

    Raises:
        ServerError: It was not.
    """
    package = Path(osteolens.__file__).parent
    with zipfile.ZipFile(archive) as stored:
        for name in stored.namelist():
            if name.startswith(_CODE) and not name.startswith(_NOT_THE_ANSWER) and not name.endswith("/"):
                installed = package / name.removeprefix(_CODE)
                if not installed.is_file() or installed.read_bytes() != stored.read(name):
                    raise ServerError(
                        f"{archive} was built by another version of OsteoLens ({name} differs), and this engine runs "
                        "the installed one: build it again with `make archives`, or serve it with --engine torchserve"
                    )
