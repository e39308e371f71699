"""Looks at an installation: what is there, what is in order, and how to put right what is not. It changes nothing."""

import json
import os
import platform
import re
import shutil
import socket
import stat
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from osteolens import __version__, places, processor
from osteolens.card import CARD_FILE, Card, load_card
from osteolens.client import KEY_FILE_VARIABLE, KEY_VARIABLE, key_source
from osteolens.console import MODEL_STORE, WEIGHTS
from osteolens.errors import CardError, OsteoLensError

State = Literal["ok", "note", "fix"]
OLDEST_PYTHON, GIGABYTE, LEAST_DISK = (3, 11), 1e9, 2e9
EXTRAS = ("serve", "explain", "yolo", "web", "batch", "dicom", "heif", "train", "export", "scale", "bench")
BACKENDS = {"onnx-int8, onnx-fp32": "onnxruntime", "torchscript, eager": "torch", "openvino": "openvino"}
VARIABLES = {
    "OSTEOLENS_URL", "OSTEOLENS_KEY", "OSTEOLENS_KEY_FILE", "OSTEOLENS_PORT", "OSTEOLENS_WEB", "OSTEOLENS_HOME",
    "OSTEOLENS_ENGINE", "OSTEOLENS_ADD_EXPLANATIONS", "OSTEOLENS_TOKEN_FILE", "OSTEOLENS_DEBUG", "OSTEOLENS_DATA",
    "OSTEOLENS_SECRET_KEY", "OSTEOLENS_ALLOWED_HOSTS", "OSTEOLENS_BEHIND_TLS", "OSTEOLENS_ADMIN_PASSWORD",
    "OSTEOLENS_MODELS", "OSTEOLENS_RETENTION_DAYS", "OSTEOLENS_UPLOADS_PER_MINUTE", "OSTEOLENS_PICTURES_PER_MINUTE",
    "OSTEOLENS_DRAWINGS_PER_MINUTE", "OSTEOLENS_MAX_UPLOAD_MB",
}  # fmt: skip
CONFIG, APP = places.root() / "config.properties", places.root() / "web" / "manage.py"
APP_ADDRESS = "http://127.0.0.1:8000"
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Check:
    """What was found in one place.

    Attributes:
        name: The place.
        state: `ok`, `note` (works, or is not needed for everything) or `fix`.
        text: What is there.
        remedy: How to put it right, or how to get it; empty where nothing is to be done.
    """

    name: str
    state: State
    text: str
    remedy: str = ""


def examine(store: Path = MODEL_STORE, weights: Path = WEIGHTS, config: Path = CONFIG) -> Iterator[Check]:
    """Check one place after the other.

    Args:
        store: Folder of the archives.
        weights: Folder of the models that they are built from.
        config: TorchServe's configuration.
    """
    yield check_python()
    yield check_processor()
    yield check_disk()
    yield from check_extras()
    yield from check_backends()
    yield check_java()
    yield check_key()
    yield from check_ports(config)
    yield from check_archives(store, weights)
    yield check_app()
    yield from check_variables()


def check_python() -> Check:
    """The interpreter, the system, and where the package comes from."""
    text = f"{platform.python_version()} on {platform.system()} {platform.release()} ({platform.machine()}), "
    text += f"osteolens {__version__} in {Path(__file__).parent}"
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", "fix", text, "install Python 3.11 or newer and make a new environment with it")
    return Check("Python", "ok", text)


def check_processor() -> Check:
    """Cores and instructions, and what they mean for int8."""
    sets = processor.instruction_sets()
    text = f"{processor.name()}, {processor.cores()} cores; {' '.join(sets) or 'instruction sets unknown'}"
    if sets and not processor.INT8 & set(sets):
        return Check("processor", "note", text, "it has neither VNNI nor AMX: onnx-fp32 is faster here than onnx-int8")
    return Check("processor", "ok", text)


def check_disk() -> Check:
    """Room for archives and results."""
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / GIGABYTE:.1f} GB free here"
    if free < LEAST_DISK:
        return Check("disk", "note", text, "archives and exports of all models take about 1 GB")
    return Check("disk", "ok", text)


def check_extras() -> Iterator[Check]:
    """Which parts of the product are installed. A part that lacks some of its packages is broken, not absent."""
    for extra in EXTRAS:
        packages = _packages_of(extra)
        missing = sorted(package for package in packages if not _version(package))
        command = f"{sys.executable} -m pip install 'osteolens[{extra}]'"
        if not packages:
            continue
        if not missing:
            yield Check(f"extra {extra}", "ok", "installed")
        elif len(missing) == len(packages):
            yield Check(f"extra {extra}", "note", "not installed", command)
        else:
            yield Check(f"extra {extra}", "note", f"not there: {', '.join(missing)}", command)


def check_backends() -> Iterator[Check]:
    """What can run a model here."""
    for backends, package in BACKENDS.items():
        number = _version(package)
        yield Check(f"backend {backends}", "ok" if number else "note", f"{package} {number or 'is not installed'}")


def check_java() -> Check:
    """The Java that TorchServe runs on."""
    if not _version("torchserve"):
        return Check("Java", "note", "not needed: TorchServe is not installed")
    from osteolens.serving.java import find_java

    try:
        return Check("Java", "ok", str(find_java()))
    except OsteoLensError as error:
        return Check("Java", "fix", "TorchServe has none", str(error))


def check_key(key_file: Path | None = None) -> Check:
    """The key that a server asks for: of a file, or from where the client takes it."""
    path = key_source(key_file)
    if path is None:
        return Check("key", "ok", f"from ${KEY_VARIABLE}")
    try:
        key = json.loads(path.read_text())["inference"]
        until = datetime.fromisoformat(key.get("expiration time", "9999-12-31")[:19]).replace(tzinfo=UTC)
    except FileNotFoundError:
        if key_file or os.environ.get(KEY_FILE_VARIABLE):
            return Check("key", "fix", f"there is no key file {path}", f"name the server's: ${KEY_FILE_VARIABLE}")
        return Check("key", "note", f"no {path} here", "a server writes it where it starts: osteolens serve")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Check("key", "fix", f"{path} is not a key file: {error!r}", "start the server again, which writes it")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("key", "fix", f"{path} can be read by others", f"chmod 600 {path}")
    if until < datetime.now(UTC):
        return Check("key", "fix", f"{path} expired on {until:%Y-%m-%d %H:%M} UTC", "start the server again")
    return Check("key", "ok", f"{path}, valid until {until:%Y-%m-%d %H:%M} UTC")


def check_ports(config: Path) -> Iterator[Check]:
    """Whether the server's addresses are free, or its own already."""
    if not config.is_file():
        yield Check("ports", "note", f"no {config} here", "start in the checkout")
        return
    from osteolens.serving.properties import read_properties

    try:
        settings = read_properties(config)
    except OsteoLensError as error:
        yield Check("ports", "fix", str(error), "see config.properties in the checkout")
        return
    for name in ("inference_address", "management_address", "metrics_address"):
        address = settings.get(name, "")
        if not listens(address):
            yield Check(f"{name}", "ok", f"{address} is free")
        elif answers_ping(settings.get("inference_address", "")):
            yield Check(f"{name}", "ok", f"{address} is a running server's")
        else:
            yield Check(f"{name}", "fix", f"{address} is another program's", "osteolens serve --port 0 takes free ones")


def check_archives(store: Path, weights: Path) -> Iterator[Check]:
    """Whether archives are whole, and those of the models in `weights/`."""
    from osteolens.serving.model_store import verify_archives

    try:
        names = verify_archives(store)
    except OsteoLensError as error:
        state: State = "fix" if any(store.glob("*.mar")) else "note"
        yield Check("archives", state, str(error), "make archives, or osteolens export and archive MODEL")
        return
    for name in names:
        yield _check_archive(store / f"{name}.mar", weights / name)


def check_app() -> Check:
    """The web app."""
    if not _version("django"):
        command = f"{sys.executable} -m pip install 'osteolens[web]'"
        return Check("web app", "note", "not installed", command)
    if listens(APP_ADDRESS):
        return Check("web app", "ok", f"something listens on {APP_ADDRESS}")
    return Check("web app", "ok", "installed, not running; osteolens serve --web 127.0.0.1:8000 starts it")


def check_variables() -> Iterator[Check]:
    """Variables of the environment; a value may be secret and is not shown."""
    ours = sorted(name for name in os.environ if name.startswith("OSTEOLENS_"))
    known = [name for name in ours if name in VARIABLES]
    if known:
        yield Check("environment", "ok", f"sets {', '.join(known)}")
    for name in sorted(set(ours) - VARIABLES):
        yield Check(
            "environment", "note", f"nothing reads {name}", "docs/command-line.md and docs/app.md name the others"
        )


def listens(address: str) -> bool:
    """Whether anything accepts connections at an address such as http://127.0.0.1:8080."""
    url = urlsplit(address)
    try:
        with socket.create_connection((url.hostname or "", url.port or 80), _WAIT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def answers_ping(address: str) -> bool:
    """Whether a TorchServe, or an engine that speaks like it, listens at an address."""
    import httpx

    try:
        return "status" in httpx.get(f"{address}/ping", timeout=_WAIT_SECONDS, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False


def _check_archive(archive: Path, folder: Path) -> Check:
    size = f"{archive}, {archive.stat().st_size / 1e6:.0f} MB"
    try:
        with zipfile.ZipFile(archive) as stored:
            card = Card.model_validate_json(stored.read(CARD_FILE))
        if folder.is_dir() and load_card(folder).sha256 != card.sha256:
            again = f"osteolens export {folder} && osteolens archive {folder}"
            return Check(f"archive {archive.stem}", "fix", f"{size}: its card is not that of {folder}", again)
    except (CardError, KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        return Check(f"archive {archive.stem}", "fix", f"{size}: {error}", "build it again: make archives")
    return Check(f"archive {archive.stem}", "ok", size)


def _packages_of(extra: str) -> set[str]:
    """Names of the packages that an extra needs, with those of the extras that it includes."""
    try:
        lines = requires("osteolens") or []
    except PackageNotFoundError:
        return set()
    packages: set[str] = set()
    for line in lines:
        requirement, _, marker = line.partition(";")
        if f'extra == "{extra}"' not in marker.replace("'", '"'):
            continue
        match = re.match(r"\s*([\w.-]+)\s*(?:\[([\w,\s-]+)\])?", requirement)
        if match and match[1] == "osteolens":
            for included in (match[2] or "").split(","):
                packages |= _packages_of(included.strip())
        elif match:
            packages.add(match[1])
    return packages


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
