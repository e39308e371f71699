"""The server, its archives and keys, the web app beside it, and the environment that they read."""

import json
import os
import socket
import stat
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from osteolens import places
from osteolens.card import CARD_FILE, Card, load_card
from osteolens.client import KEY_FILE_VARIABLE, KEY_VARIABLE, key_source, read_key
from osteolens.doctor.check import Check, State, version_of
from osteolens.errors import CardError, ClientError, OsteoLensError

VARIABLES = {
    "OSTEOLENS_URL", "OSTEOLENS_KEY", "OSTEOLENS_KEY_FILE", "OSTEOLENS_PORT", "OSTEOLENS_WEB", "OSTEOLENS_HOME",
    "OSTEOLENS_ENGINE", "OSTEOLENS_LOG_FORMAT", "OSTEOLENS_ADD_EXPLANATIONS", "OSTEOLENS_TOKEN_FILE",
    "OSTEOLENS_DEBUG", "OSTEOLENS_DATA",
    "OSTEOLENS_SECRET_KEY", "OSTEOLENS_ALLOWED_HOSTS", "OSTEOLENS_BEHIND_TLS", "OSTEOLENS_ADMIN_PASSWORD",
    "OSTEOLENS_MODELS", "OSTEOLENS_RETENTION_DAYS", "OSTEOLENS_UPLOADS_PER_MINUTE", "OSTEOLENS_PICTURES_PER_MINUTE",
    "OSTEOLENS_DRAWINGS_PER_MINUTE", "OSTEOLENS_MAX_UPLOAD_MB",
    "OSTEOLENS_DICOMWEB_URL", "OSTEOLENS_DICOMWEB_PASSWORD", "OSTEOLENS_DICOMWEB_TOKEN",
}  # fmt: skip
CONFIG, APP_ADDRESS = places.root() / "config.properties", "http://127.0.0.1:8000"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WAIT_SECONDS = 0.5


def check_key(key_file: Path | None = None) -> Check:
    """The key that a server asks for: of a file, or from where the client takes it."""
    path = key_source(key_file)
    if path is None:
        return Check("key", "ok", f"from ${KEY_VARIABLE}")
    try:
        key = read_key(path)
        until = _valid_until(path) if key else None
    except (ClientError, ValueError, KeyError, TypeError) as error:
        return Check("key", "fix", f"{path} is not a key file: {error}", "start the server again, which writes it")
    if key is None and (key_file or os.environ.get(KEY_FILE_VARIABLE)):
        return Check("key", "fix", f"there is no key file {path}", f"name the server's: ${KEY_FILE_VARIABLE}")
    if key is None:
        return Check("key", "note", f"no {path} here", "a server writes it where it starts: osteolens serve")
    if path.stat().st_mode & OTHERS:
        return Check("key", "fix", f"{path} can be read by others", f"chmod 600 {path}")
    if until is None:
        return Check("key", "ok", f"{path}, which holds a key alone")
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
        # A server answers /ping at its inference address alone; the other two are its own then. TorchServe wants its
        # key for it too, and names the `type` of what it misses.
        if not listens(address):
            yield Check(f"{name}", "ok", f"{address} is free")
        elif answers(f"{settings.get('inference_address', '')}/ping", "status", "type"):
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


def check_app(address: str = APP_ADDRESS) -> Check:
    """The web app: whether it is installed, who listens at its usual address, and who may open its films."""
    if not version_of("django"):
        return Check("web app", "note", "not installed", f"{sys.executable} -m pip install 'osteolens[web]'")
    data = Path(os.environ.get("OSTEOLENS_DATA") or places.home() / "web_data")
    # The app closes its folder when it starts; a copy or a backup that was put back may be open.
    if data.is_dir() and data.stat().st_mode & OTHERS:
        return Check("web app", "fix", f"its films in {data} can be opened by others", f"chmod 700 {data}")
    if not listens(address):
        return Check("web app", "ok", "installed, not running; osteolens serve --web starts it")
    if answers(f"{address}/healthz", "ok"):
        return Check("web app", "ok", f"runs at {address}")
    remedy = "osteolens serve --web-address 127.0.0.1:8001 takes another"
    return Check("web app", "note", f"{address} is another program's", remedy)


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


def answers(address: str, *keys: str) -> bool:
    """Whether an address gives a JSON object with one of some keys."""
    import httpx

    try:
        # Unverified: a certificate of one's own does not make the server another program.
        body = httpx.get(address, timeout=_WAIT_SECONDS, trust_env=False, verify=False).json()  # noqa: S501
        return any(key in body for key in keys)
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


def _valid_until(key_file: Path) -> datetime | None:
    """When the inference key of a server's key file ends; None for a file that holds a key alone."""
    text = key_file.read_text()
    if not text.lstrip().startswith("{"):
        return None
    return datetime.fromisoformat(json.loads(text)["inference"]["expiration time"][:19]).replace(tzinfo=UTC)
