"""Settings from environment variables; a malformed one stops the start and shows a valid value."""

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dj_database_url

_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}
_SQLITE_OPTIONS = {
    # Writers queue up for the lock when they begin instead of failing when they first write.
    "transaction_mode": "IMMEDIATE",
    "timeout": 10,
    # What is deleted is overwritten.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000; "
    "PRAGMA secure_delete=ON;",
}
_OWN_FILES = {"secret_key", "osteolens.sqlite3", "films", "under_way"}
_REPLACING_IT = "delete the file, for example, and a new one is made; everybody logs in again then"
SHORTEST_SECRET = 32


class MalformedSetting(ValueError):
    """An environment variable has a value that makes no sense."""


class Environment:
    """Typed reading of environment variables; an empty one counts as not set.

    Args:
        values: Name to text; default: the process's environment.

    Raises:
        MalformedSetting: From every method; names the variable, what was found, and a valid value.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        """A text without the spaces around it."""
        return self._values.get(name, "").strip() or default

    def flag(self, name: str) -> bool:
        """A switch that is off by default."""
        found = self.text(name, "off")
        if found.lower() not in _FLAGS:
            raise MalformedSetting(f"{name} is {found!r}; it is on or off, for example {name}=on")
        return _FLAGS[found.lower()]

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        found = self.text(name, str(default))
        if not (found.isascii() and found.isdigit() and low <= int(found) <= high):
            raise MalformedSetting(
                f"{name} is {found!r}; it is a whole number from {low} to {high}, for example {name}={default}"
            )
        return int(found)

    def names(self, name: str, default: str, allowed: str) -> list[str]:
        """Names between commas, made of ASCII letters, digits and the `allowed` characters, none twice."""
        found = self.text(name, default)
        names = [part.strip() for part in found.split(",")]
        plain = all(part and all(c.isascii() and (c.isalnum() or c in allowed) for c in part) for part in names)
        if not plain or len(set(names)) != len(names):
            raise MalformedSetting(f"{name} is {found!r}; it holds names between commas, for example {name}={default}")
        return names

    def url(self, name: str) -> str:
        """An address with http or https, or an empty text."""
        found = self.text(name)
        if found and not found.startswith(("http://", "https://")):
            raise MalformedSetting(f"{name} is {found!r}; for example {name}=http://127.0.0.1:8080")
        return found

    def folder(self, name: str, default: str) -> Path:
        """A folder that only this user may look into; made if it is not there, closed to others if it is ours."""
        path = Path(self.text(name, default)).absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise MalformedSetting(
                f"{name} is {str(path)!r}, which cannot be made: {error.strerror}; for example {name}={default}"
            ) from error
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise MalformedSetting(f"{name} is {str(path)!r}, which cannot be written to; for example {name}={default}")
        if path.stat().st_mode & 0o077:
            _close_to_others(name, path)
        return path

    def file(self, name: str) -> Path | None:
        """A path whose folder exists; the file itself may come later."""
        found = self.text(name)
        if found and not Path(found).absolute().parent.is_dir():
            raise MalformedSetting(
                f"{name} is {found!r}, in a folder that does not exist; for example {name}=key_file.json"
            )
        return Path(found) if found else None

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Django's description of a database; default: SQLite in a file."""
        found = self.text(name)
        if not found:
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": default, "OPTIONS": _SQLITE_OPTIONS}
        example = f"for example {name}=postgresql://user:password@127.0.0.1:5432/osteolens"
        try:
            database = dict(dj_database_url.parse(found, conn_max_age=60, conn_health_checks=True))
        except ValueError as error:  # the address may hold a password: it is not shown
            raise MalformedSetting(f"{name} cannot be understood; {example}") from error
        if database["ENGINE"] not in _ENGINES or not database["NAME"]:
            raise MalformedSetting(f"{name} names neither a PostgreSQL nor a SQLite database; {example}")
        if database["ENGINE"].endswith("sqlite3"):
            database |= {"OPTIONS": _SQLITE_OPTIONS, "CONN_MAX_AGE": 0}
        return database

    def secret_key(self, name: str, file: Path) -> str:
        """The key that signs cookies; default: made once and kept in a file that only this user may read.

        Set to nothing it is refused: whoever sets it means to decide.
        """
        if name not in self._values:
            return _kept_secret(file)
        found = self._values[name].strip()
        if len(found) < SHORTEST_SECRET:
            raise MalformedSetting(
                f"{name} has {len(found)} characters; it needs at least {SHORTEST_SECRET}, "
                f"for example from: openssl rand -hex 32; without {name}, a key is made and kept"
            )
        return found


def _close_to_others(name: str, path: Path) -> None:
    """Narrow the folder's mode, if it is this app's alone: closing a folder such as /home would do harm."""
    mode = stat.S_IMODE(path.stat().st_mode)
    content = {entry.name for entry in path.iterdir()} - {"lost+found"}
    own = path.stat().st_uid == os.geteuid() and (not content or content & _OWN_FILES)
    if not own or mode & 0o002:
        raise MalformedSetting(
            f"{name} is {str(path)!r}, which others may look into (mode {mode:o}); "
            f"it holds films: chmod 700 {path}, or a folder of its own, for example {name}=web_data"
        )
    path.chmod(0o700)


def _kept_secret(file: Path) -> str:
    """Of several processes that start at once, one writes the file and all read it."""
    if not file.exists():
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(48))
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut leaves an empty one
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise MalformedSetting(f"the secret key in {file} cannot be read: {error}; {_REPLACING_IT}") from None
    if len(secret) < SHORTEST_SECRET:
        raise MalformedSetting(
            f"the secret key in {file} has {len(secret)} characters, not {SHORTEST_SECRET} or more; {_REPLACING_IT}"
        )
    return secret
