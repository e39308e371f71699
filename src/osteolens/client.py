"""Sends films to a running server and returns typed answers: `Client`, and `AsyncClient` for asyncio.

ClientError (osteolens.errors)
├── DamagedAnswer              the response is no whole answer: cut off, changed on its way, or not from OsteoLens
└── RequestRefused
    ├── KeyRefused             the key is missing, wrong or expired
    └── ServerBusy             429 or 503; carries the server's Retry-After
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError
from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.schema import DIGEST_HEADER, Answer, ErrorAnswer, content_digest, header_name, parse

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_MODEL = "efficientnet"
KEY_FILE = Path("key_file.json")
URL_VARIABLE, KEY_VARIABLE = "OSTEOLENS_URL", "OSTEOLENS_KEY"

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
ATTEMPTS = 4
_BUSY_STATUSES = frozenset({429, 503})
_RETRIED_STATUSES = _BUSY_STATUSES | {502, 504}
_KEY_REFUSED = "InvalidKeyException"

_KEY_HINT = f"give the inference key of key_file.json as {KEY_VARIABLE} or with --key-file"
_FRONT_END_HINTS = {
    400: _KEY_HINT,  # TorchServe's answer to a wrong or missing key
    404: "is that model's archive in model_store?",
    413: "send at most 64 MiB",
    415: "send the film's bytes as the body, as application/octet-stream",
    503: "the server is busy or its worker is starting; try again",
}


class DamagedAnswer(ClientError):
    """The server's answer is not a whole, consistent answer of OsteoLens."""


class KeyRefused(RequestRefused):
    """The inference key is missing, wrong or expired."""


class ServerBusy(RequestRefused):
    """The server has no room at the moment.

    Attributes:
        retry_after: Seconds that the server asks to wait; None where it does not say.
    """

    retry_after: float | None = None


class _Access:
    """A server's address and key."""

    def __init__(self, url: str | None, key: str | None, key_file: Path | None) -> None:
        self.url = server_address(url)
        self._key_file: Path | None = None  # only a key that came from a file can be read again
        if key is None and key_file is None:
            key = os.environ.get(KEY_VARIABLE) or None
        if key is None:
            self._key_file = key_file or KEY_FILE
            key = read_key(self._key_file)
            if key is None and key_file:
                raise ClientError(f"there is no key file {key_file}: TorchServe writes key_file.json where it starts")
        self._key = key
        self._addresses: dict[str, httpx.URL] = {}  # httpx takes a tenth of a millisecond to parse an address

    def post(self, film: bytes, model: str, options: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of httpx for one request."""
        headers = {header_name(name): _header_value(name, value) for name, value in options.items()}
        headers["Content-Type"] = b"application/octet-stream"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}".encode()
        if model not in self._addresses:
            self._addresses[model] = httpx.URL(f"{self.url}/predictions/{quote(model, safe='')}")
        return {"url": self._addresses[model], "content": film, "headers": headers}

    def renew_key(self) -> bool:
        """Read the key file again; whether it holds another key now."""
        if self._key_file is None:
            return False
        try:
            key = read_key(self._key_file)
        except ClientError:
            return False  # half written by a server that is starting: the refusal stands
        changed, self._key = key not in (None, self._key), key or self._key
        return changed

    def unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        return ServerUnreachable(
            f"no answer from {self.url}: {error or type(error).__name__}; is the server up (make serve)?"
        )


class Client:
    """A connection to one server.

    Args:
        url: Address of the inference API; default: the variable OSTEOLENS_URL, else http://127.0.0.1:8080.
        key: Inference key; default: that of `key_file`, else the variable OSTEOLENS_KEY, else that of
            `key_file.json` in the working folder, else none (for a server whose token authorization is off).
        key_file: TorchServe's key file. It is read again when the server refuses the key, as keys expire and each
            start of a server makes new ones.
        timeout: Seconds to connect, and to wait for the next bytes.
        transport: Replaces the network.

    Raises:
        ClientError: The address or the key file makes no sense.

    Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        key_file: Path | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._access = _Access(url, key, key_file)
        self.url = self._access.url
        with _proxies_make_sense():
            self._http = httpx.Client(timeout=timeout, transport=transport, trust_env=not is_loopback(self.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, film: bytes, *, model: str = DEFAULT_MODEL, options: Mapping[str, str] | None = None) -> Answer:
        """Predict a film, with up to four tries where another may help.

        Args:
            film: The file's bytes.
            model: The name the model is served under.
            options: Option texts by name, see `osteolens.schema.Options`.

        Raises:
            RequestRefused: The server answered with an error: a film or an option that it cannot use, a
                missing key, an unknown model, or still no room after several tries.
            DamagedAnswer: The response is not a whole and consistent answer.
            ServerUnreachable: Nobody answers at this address.
        """
        answer: Answer = Retrying(**_retry_rules())(self.ask, film, model=model, options=options)
        return answer

    def ask(self, film: bytes, *, model: str = DEFAULT_MODEL, options: Mapping[str, str] | None = None) -> Answer:
        """Predict a film, with a single try; arguments and errors as in `predict`."""
        response = self._post(film, model, options or {})
        if _refuses_key(response) and self._access.renew_key():
            response = self._post(film, model, options or {})
        return _answer_of(response)

    def _post(self, film: bytes, model: str, options: Mapping[str, str]) -> httpx.Response:
        try:
            return self._http.post(**self._access.post(film, model, options))
        except httpx.TransportError as error:
            raise self._access.unreachable(error) from error


class AsyncClient:
    """A connection to one server, for asyncio; arguments and errors as those of `Client`.

    Use it as an asynchronous context manager, or await `close`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        key_file: Path | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._access = _Access(url, key, key_file)
        self.url = self._access.url
        with _proxies_make_sense():
            self._http = httpx.AsyncClient(timeout=timeout, transport=transport, trust_env=not is_loopback(self.url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, film: bytes, *, model: str = DEFAULT_MODEL, options: Mapping[str, str] | None = None
    ) -> Answer:
        """As `Client.predict`."""
        answer: Answer = await AsyncRetrying(**_retry_rules())(self.ask, film, model=model, options=options)
        return answer

    async def ask(self, film: bytes, *, model: str = DEFAULT_MODEL, options: Mapping[str, str] | None = None) -> Answer:
        """As `Client.ask`."""
        response = await self._post(film, model, options or {})
        if _refuses_key(response) and self._access.renew_key():
            response = await self._post(film, model, options or {})
        return _answer_of(response)

    async def _post(self, film: bytes, model: str, options: Mapping[str, str]) -> httpx.Response:
        try:
            return await self._http.post(**self._access.post(film, model, options))
        except httpx.TransportError as error:
            raise self._access.unreachable(error) from error


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine: a proxy is never used for it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name


@contextmanager
def _proxies_make_sense() -> Iterator[None]:
    """Turn each error that httpx raises for http_proxy and its like into a single kind."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ClientError(
            f"the proxy in the environment (http_proxy, all_proxy) cannot be used: {' '.join(str(error).split())}; "
            "unset it, or name the server in no_proxy"
        ) from error


def _header_value(option: str, value: str) -> bytes:
    """An option's text as a header can hold it: `Östeopenie` is sent as `%C3%96steopenie`, which the server reads back.

    Raises:
        ClientError: It has a line break or the like.
    """
    if not value.isprintable():
        raise ClientError(f"option {option} is {value!r}: one line of letters, digits and signs, such as 63 or female")
    return (value if value.isascii() and "%" not in value else quote(value, safe=" ")).encode()


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


def read_key(path: Path) -> str | None:
    """The inference key of a TorchServe key file, or none where there is no such file.

    Raises:
        ClientError: The file is there but is not a key file.
    """
    try:
        return str(json.loads(path.read_text())["inference"]["key"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path} is not a TorchServe key file: {error}") from error


def refusal_of(response: httpx.Response) -> RequestRefused:
    """The error of a response: from the schema's error object, or from TorchServe's own."""
    status = response.status_code
    if status in _BUSY_STATUSES:
        busy = ServerBusy(status, *_error_of(response))
        busy.retry_after = _seconds(response.headers.get("Retry-After", ""))
        return busy
    kind = KeyRefused if _refuses_key(response) else RequestRefused
    return kind(status, *_error_of(response))


def _error_of(response: httpx.Response) -> tuple[str, str, str]:
    """Code, message and hint."""
    status = response.status_code
    try:
        row = parse(response.content)
    except ValidationError:
        return f"http_{status}", _front_end_message(response), _FRONT_END_HINTS.get(status, "")
    if isinstance(row, ErrorAnswer):
        return row.error.code, row.error.message, row.error.hint
    return f"http_{status}", f"the server answered with status {status}", ""


def _answer_of(response: httpx.Response) -> Answer:
    """The answer in a response.

    Raises:
        RequestRefused, DamagedAnswer: As `Client.predict` says.
    """
    _check_digest(response)
    if response.is_error:
        raise refusal_of(response)
    try:
        row = parse(response.content)
    except ValidationError as error:
        raise DamagedAnswer(
            f"{response.url.host} does not answer as OsteoLens does: {error.errors()[0]['msg']}"
        ) from error
    if not isinstance(row, Answer):
        raise DamagedAnswer(f"{response.url.host} sent something other than one answer for one film")
    shares = row.probabilities
    if abs(sum(shares.values()) - 1) > 0.01 or shares.get(row.label, -1.0) < max(shares.values()) - 1e-6:
        raise DamagedAnswer(f"the answer contradicts itself: {row.label!r} from probabilities {shares}")
    return row


def _check_digest(response: httpx.Response) -> None:
    """Compare a body with the SHA-256 that was sent along (RFC 9530); only that finds a digit that changed."""
    sent = response.headers.get(DIGEST_HEADER, "")
    if sent.startswith("sha-256=") and sent != (actual := content_digest(response.content)):
        raise DamagedAnswer(f"the answer's digest is {actual} where {sent} was sent along")


def _refuses_key(response: httpx.Response) -> bool:
    return response.status_code == 401 or (response.status_code == 400 and _KEY_REFUSED.encode() in response.content)


def _front_end_message(response: httpx.Response) -> str:
    """What TorchServe's own error, or a proxy's page, says.

    Raises:
        DamagedAnswer: It should be JSON but is none.
    """
    try:
        return str(response.json()["message"])
    except (KeyError, TypeError):
        pass
    except ValueError as error:
        if response.content and "json" in response.headers.get("Content-Type", ""):
            raise DamagedAnswer(f"status {response.status_code} came with an error that is cut off") from error
    return f"the server answered with status {response.status_code}"


def _seconds(retry_after: str) -> float | None:
    """Seconds of a Retry-After header; its other form, a date, needs clocks that agree, and is left out."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _retry_rules() -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_may_succeed_later),
        "stop": stop_after_attempt(ATTEMPTS),
        "wait": wait_exponential_jitter(initial=0.2, max=5.0),
        "reraise": True,
    }


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, RequestRefused):
        return error.status in _RETRIED_STATUSES
    # A connection that broke may have been a restarting worker; an address where nobody listens is final.
    return isinstance(error, DamagedAnswer | ServerUnreachable) and not isinstance(error.__cause__, httpx.ConnectError)
