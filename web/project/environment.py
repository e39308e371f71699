"""Settings from environment variables; each malformed one stops the start with a line that shows a valid value."""

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import dj_database_url
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from osteolens.films.read import MAX_BYTES

MEGABYTE = 1024**2
SHORTEST_SECRET = 32
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
_REPLACING_IT = "delete the file, for example, and a new one is made"


class MalformedSetting(ValueError):
    """Settings that the app cannot start with; one line for each."""


def _private_folder(path: Path) -> Path:
    """A folder that only this user may read: created, or closed to others if it is the app's own."""
    path = path.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"is {str(path)!r}, which cannot be made: {error.strerror}") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ValueError(f"is {str(path)!r}, which cannot be written to")
    if path.stat().st_mode & 0o077:
        _close_to_others(path)
    return path


def _close_to_others(path: Path) -> None:
    """Narrow the folder's mode, if it is this app's alone: closing a folder such as /home would do harm."""
    mode = stat.S_IMODE(path.stat().st_mode)
    content = {entry.name for entry in path.iterdir()} - {"lost+found"}
    own = path.stat().st_uid == os.geteuid() and (not content or content & _OWN_FILES)
    if not own or mode & 0o002:
        raise ValueError(
            f"is {str(path)!r}, which others may look into (mode {mode:o}); it holds films: chmod 700 {path}, "
            "or a folder of its own"
        )
    path.chmod(0o700)


def _in_a_folder(path: Path) -> Path:
    if not path.absolute().parent.is_dir():
        raise ValueError(f"is {str(path)!r}, in a folder that does not exist")
    return path


def _without_password(url: str) -> str:
    if "@" in url:
        raise ValueError("holds a name or a password, which messages would show: they have variables of their own")
    return url.rstrip("/")


def _provider(url: str) -> str:
    """The issuer of identity tokens: what comes from it lets people in, so it is reached by TLS or on this machine."""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("holds more than host and path of the provider")
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1")):
        raise ValueError(f'is {url!r}; it is the provider\'s https address, as its metadata give it under "issuer"')
    return url


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"is {str(path)!r}, which is no file")
    return path


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _unique(names: list[str]) -> list[str]:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"holds {repeated[0]!r} twice; it holds names between commas")
    return names


def _long_enough(secret: str) -> str:
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"has {len(secret)} characters; it needs at least {SHORTEST_SECRET}; without it a key is made and kept"
        )
    return secret


def _database(url: str) -> dict[str, Any]:
    """Django's description of a database; the address may hold a password, so no message shows it."""
    try:
        database = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    except ValueError:
        raise ValueError("cannot be understood") from None
    if database["ENGINE"] not in _ENGINES or not database["NAME"]:
        raise ValueError("names neither a PostgreSQL nor a SQLite database")
    if database["ENGINE"].endswith("sqlite3"):
        database |= {"OPTIONS": _SQLITE_OPTIONS, "CONN_MAX_AGE": 0}
    return database


def _flag() -> Any:
    return Field(default=False, description="on or off", examples=["on"])


def _whole(default: int, low: int, high: int) -> Any:
    return Field(
        default=default, ge=low, le=high, description=f"a whole number from {low} to {high}", examples=[default]
    )


def _names(default: str) -> Any:
    return Field(default=_split(default), description="names between commas", examples=[default])


Hosts = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:*\[\]-]+$")]],
    NoDecode, BeforeValidator(_split), AfterValidator(_unique),
]  # fmt: skip
Models = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")]],
    NoDecode, BeforeValidator(_split), AfterValidator(_unique),
]  # fmt: skip


class Environment(BaseSettings):
    """Settings of the app: OSTEOLENS_DATA is `data`, and so on. An empty variable counts as not set.

    A field's description and its first example make the message for a malformed value.
    """

    model_config = SettingsConfigDict(
        alias_generator=lambda name: f"OSTEOLENS_{name.upper()}",
        case_sensitive=True,
        frozen=True,
        validate_default=False,
    )

    debug: bool = _flag()
    log_format: Literal["text", "json"] = Field(default="text", description="text or json", examples=["json"])
    data: Annotated[Path, AfterValidator(_private_folder)] = Field(
        default=Path("web_data"), validate_default=True, examples=["web_data"]
    )
    database_url: Annotated[dict[str, Any] | None, NoDecode, BeforeValidator(_database)] = Field(
        default=None,
        validation_alias="DATABASE_URL",
        examples=["postgresql://user:password@127.0.0.1:5432/osteolens"],
    )
    secret_key: Annotated[str, AfterValidator(_long_enough)] | None = Field(
        default=None, examples=["$(openssl rand -hex 32)"]
    )
    allowed_hosts: Hosts = _names("localhost,127.0.0.1,[::1]")
    behind_tls: bool = _flag()
    admin_password: str = ""
    models: Models = _names("knee,efficientnet,yolov5")
    retention_days: int = _whole(0, 0, 36500)
    uploads_per_minute: int = _whole(120, 1, 100_000)
    pictures_per_minute: int = _whole(1200, 1, 1_000_000)
    drawings_per_minute: int = _whole(60, 1, 100_000)
    max_upload_mb: int = _whole(64, 1, MAX_BYTES // MEGABYTE)
    url: Annotated[str, StringConstraints(pattern="^https?://")] = Field(
        default="", description="an address with http or https", examples=["http://127.0.0.1:8080"]
    )
    dicomweb_url: Annotated[str, BeforeValidator(_without_password), StringConstraints(pattern=r"^https?://\S+$")] = (
        Field(default="", description="the root of an archive", examples=["https://pacs.example/dicom-web"])
    )
    dicomweb_user: str = ""
    dicomweb_password: str = ""
    dicomweb_token: str = ""
    dicomweb_ca_file: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, examples=["archive_ca.pem"]
    )
    second_factor: Literal["optional", "required"] = Field(
        default="optional", description="optional or required", examples=["required"]
    )
    oidc_issuer: Annotated[str, AfterValidator(_provider)] = Field(
        default="", examples=["https://id.example/realms/hospital"]
    )
    oidc_client_id: str = "osteolens"
    oidc_client_secret: str = ""
    oidc_name: str = "single sign-on"
    oidc_new_accounts: Literal["closed", "open", "none"] = Field(
        default="closed", description="closed, open or none", examples=["closed"]
    )
    key: str = ""
    key_file: Annotated[Path, AfterValidator(_in_a_folder)] | None = Field(default=None, examples=["key_file.json"])

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, texts: dict[str, str]) -> dict[str, str]:
        """Texts without the spaces around them. An empty secret is left to be refused: who sets it means to decide."""
        stripped = {name: text.strip() for name, text in texts.items()}
        return {name: text for name, text in stripped.items() if text or name == "OSTEOLENS_SECRET_KEY"}

    @classmethod
    def read(cls) -> Self:
        """The settings of this process.

        Raises:
            MalformedSetting: A line for each variable that makes no sense: what it is, what is valid, an example.
        """
        try:
            settings = cls()
        except ValidationError as error:
            raise MalformedSetting("\n".join(_lines(error))) from None
        if bool(settings.dicomweb_user) != bool(settings.dicomweb_password):
            raise MalformedSetting(
                "OSTEOLENS_DICOMWEB_USER and OSTEOLENS_DICOMWEB_PASSWORD belong together: one is missing, "
                "for example OSTEOLENS_DICOMWEB_USER=osteolens"
            )
        return settings

    @property
    def database(self) -> dict[str, Any]:
        """Django's description of the database; default: SQLite in the data folder."""
        sqlite = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": self.data / "osteolens.sqlite3",
            "OPTIONS": _SQLITE_OPTIONS,
        }
        return self.database_url or sqlite

    @property
    def signing_key(self) -> str:
        """The key that signs cookies; default: created once, in a file that only this user may read.

        Raises:
            MalformedSetting: The file is damaged.
        """
        return self.secret_key or _stored_secret(self.data / "secret_key", "everybody logs in again then")

    @property
    def pseudonym_key(self) -> bytes:
        """The key from which patients get their pseudonyms, created once like `signing_key`.

        Raises:
            MalformedSetting: The file is damaged.
        """
        return _stored_secret(
            self.data / "pseudonym_key", "later films of a patient get another pseudonym then"
        ).encode()


def _lines(error: ValidationError) -> Iterator[str]:
    """A line for each malformed variable."""
    variables = {field: str(info.validation_alias) for field, info in Environment.model_fields.items()}
    fields = {variables[field]: info for field, info in Environment.model_fields.items()}
    problems = {str(problem["loc"][0]): problem for problem in error.errors()}
    for place, problem in problems.items():
        name = variables.get(place, place)  # a default is refused under its field's name
        field = fields[name]
        if problem["type"] == "value_error":  # from a function above
            message = str(problem["ctx"]["error"])
        else:
            message = f"is {os.environ[name].strip()!r}; it is {field.description}"
        yield f"{name} {message}, for example {name}={(field.examples or [''])[0]}"


def _stored_secret(file: Path, consequence: str) -> str:
    """Key from the file; of several processes that start at once, one writes it and all read it."""
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
        raise MalformedSetting(
            f"the secret key in {file} cannot be read: {error}; {_REPLACING_IT}; {consequence}"
        ) from None
    if len(secret) < SHORTEST_SECRET:
        raise MalformedSetting(
            f"the secret key in {file} has {len(secret)} characters, not {SHORTEST_SECRET} or more; {_REPLACING_IT}; "
            f"{consequence}"
        )
    return secret
