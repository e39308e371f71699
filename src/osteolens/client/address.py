"""Where the server is, and the key that opens it."""

import json
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import httpx

from osteolens.client.responses import refuses_key
from osteolens.errors import ClientError, ServerUnreachable, in_words
from osteolens.places import home

DEFAULT_URL = "http://127.0.0.1:8080"
KEY_FILE = Path("key_file.json")
_KEY = re.compile(r"[\w-]*[A-Za-z_-][\w-]*", re.ASCII)  # a number alone would be JSON
URL_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE = "OSTEOLENS_URL", "OSTEOLENS_KEY", "OSTEOLENS_KEY_FILE"


def server_address(url: str | None = None) -> str:
    """The address in the argument, else in OSTEOLENS_URL, else this machine's.

    Raises:
        ClientError: It is no address of a server, or has a query, which a server would ignore.
    """
    url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
    try:
        parsed = httpx.URL(url)
        reason = "" if parsed.scheme in ("http", "https") and parsed.host else "it starts with neither http nor https"
        if parsed.query or parsed.fragment:
            reason = f"what follows {'?' if parsed.query else '#'} would be ignored: options such as age are headers"
    except (httpx.InvalidURL, ValueError) as error:
        reason = str(error)
    if reason:
        raise ClientError(f"{url!r} is not an address ({reason}); for example {DEFAULT_URL}")
    return url


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine: a proxy is never used for it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def read_key(path: Path) -> str | None:
    """The inference key of a TorchServe key file, or of a file that holds it and nothing else; None without a file.

    Raises:
        ClientError: The file is there but is not a key file.
    """
    try:
        text = path.read_text().strip()
        return text if _KEY.fullmatch(text) else str(json.loads(text)["inference"]["key"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path} is neither a TorchServe key file nor a key alone: {in_words(error)}") from error


def key_source(key_file: Path | None = None) -> Path | None:
    """The file that the key comes from, or None where the variable OSTEOLENS_KEY holds the key itself.

    Args:
        key_file: Wins over the environment. Default: none if OSTEOLENS_KEY is set, else the file that
            OSTEOLENS_KEY_FILE names, else `key_file.json` in the working folder or where `osteolens serve` keeps it.
    """
    if key_file is None and os.environ.get(KEY_VARIABLE):
        return None
    if key_file or os.environ.get(KEY_FILE_VARIABLE):
        return key_file or Path(os.environ[KEY_FILE_VARIABLE])
    return KEY_FILE if KEY_FILE.is_file() else home() / KEY_FILE


def find_key(key_file: Path | None = None) -> str | None:
    """The key from where `key_source` says; None if that is the usual file and there is none.

    Raises:
        ClientError: The file that was named is missing, or a file is malformed.
    """
    path = key_source(key_file)
    if path is None:
        return os.environ[KEY_VARIABLE]
    key = read_key(path)
    if key is None and (key_file or os.environ.get(KEY_FILE_VARIABLE)):
        raise ClientError(f"there is no key file {path}: TorchServe writes key_file.json where it starts")
    return key


class Key(httpx.Auth):
    """Sends the inference key with each request; a refused key is read from its file once more, whatever thread asks.

    Args:
        key: Default: see `find_key`.
        key_file: TorchServe's key file.

    Raises:
        ClientError: The key file is missing or malformed.
    """

    requires_response_body = True  # TorchServe says only in the body of a 400 that it is about the key

    def __init__(self, key: str | None, key_file: Path | None) -> None:
        # Only a key that came from a file can be read again.
        self._file = key_source(key_file) if key is None else None
        self._key = find_key(key_file) if key is None else key
        self._renewal = Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request, and once more where there is another key by then than the one that was refused."""
        key = self._key
        _sign(request, key)
        response = yield request
        if refuses_key(response) and (newer := self._renewed(key)):
            _sign(request, newer)
            yield request

    def _renewed(self, refused: str | None) -> str | None:
        """A key other than the refused one, if there is one; of all who wait for it, the first reads the file."""
        if self._file is None:
            return None
        with self._renewal:
            if self._key == refused:
                try:
                    self._key = read_key(self._file) or self._key
                except ClientError:
                    return None  # half written by a server that is starting: the refusal stands
            return self._key if self._key != refused else None


def _sign(request: httpx.Request, key: str | None) -> None:
    if key:
        request.headers["Authorization"] = f"Bearer {key}"


@contextmanager
def usable_proxies() -> Iterator[None]:
    """Turn each error that httpx raises for http_proxy and its like into a single kind."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ClientError(
            f"the proxy in the environment (http_proxy, all_proxy) cannot be used: {' '.join(str(error).split())}; "
            "unset it, or name the server in no_proxy"
        ) from error


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Turn each error of a connection into ServerUnreachable, with the address in its message."""
    try:
        yield
    except httpx.TransportError as error:
        reason = error or type(error).__name__
        raise ServerUnreachable(f"no answer from {url}: {reason}; is the server up (make serve)?") from error
