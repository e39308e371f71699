"""The two clients: `Client` waits, `AsyncClient` is for asyncio. They differ in nothing else."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from osteolens.client.address import Key, is_loopback, reachable, server_address, usable_proxies
from osteolens.client.responses import BUSY_STATUSES, DamagedAnswer, answer_of, refusal_of, refuses_key
from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.options import header_name
from osteolens.schema import Answer

DEFAULT_MODEL = "efficientnet"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
ATTEMPTS = 4
_RETRIED_STATUSES = BUSY_STATUSES | {502, 504}


class _Requests:
    """Requests to one server, ready for httpx."""

    def __init__(self, url: str | None, key: str | None, key_file: Path | None) -> None:
        self.url = server_address(url)
        signing = Key(key, key_file)
        # A name and password in the address go to a proxy in front of the server, which takes the same header.
        auth = None if httpx.URL(self.url).userinfo else signing
        self.settings: dict[str, Any] = {"auth": auth, "trust_env": not is_loopback(self.url)}
        self._addresses: dict[str, httpx.URL] = {}  # httpx takes a tenth of a millisecond to parse an address

    def film(self, film: bytes, model: str, options: Mapping[str, str] | None) -> dict[str, Any]:
        """The arguments of `httpx.Client.post` for one film."""
        headers = {header_name(name): _header_value(name, value) for name, value in (options or {}).items()}
        headers["Content-Type"] = b"application/octet-stream"
        if model not in self._addresses:
            self._addresses[model] = httpx.URL(f"{self.url}/predictions/{quote(model, safe='')}")
        return {"url": self._addresses[model], "content": film, "headers": headers}


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
        self._requests = _Requests(url, key, key_file)
        self.url = self._requests.url
        with usable_proxies():
            self._http = httpx.Client(timeout=timeout, transport=transport, **self._requests.settings)

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
            options: Option texts by name, see `osteolens.options.Options`.

        Raises:
            RequestRefused: The server answered with an error: a film or an option that it cannot use, a
                missing key, an unknown model, or still no room after several tries.
            FilmRefused: The picture is not a film that the model can read; the options' `force` has it answered.
            DamagedAnswer: The response is not a whole and consistent answer.
            ServerUnreachable: Nobody answers at this address.
        """
        answer: Answer = Retrying(**_retry_rules())(self.ask, film, model=model, options=options)
        return answer

    def ask(self, film: bytes, *, model: str = DEFAULT_MODEL, options: Mapping[str, str] | None = None) -> Answer:
        """Predict a film, with a single try; arguments and errors as in `predict`."""
        with reachable(self.url):
            response = self._http.post(**self._requests.film(film, model, options))
        return answer_of(response)

    def ping(self, timeout: float) -> None:
        """Return where the server is up, has workers and takes the key.

        Args:
            timeout: Seconds to wait.

        Raises:
            RequestRefused: It has no worker, or the key is wrong.
            ServerUnreachable: Nobody answers at this address.
        """
        with reachable(self.url):
            response = self._http.get(f"{self.url}/ping", timeout=timeout)
        if response.status_code >= 500 or refuses_key(response):  # a server that has no such address is up, too
            raise refusal_of(response)


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
        self._requests = _Requests(url, key, key_file)
        self.url = self._requests.url
        with usable_proxies():
            self._http = httpx.AsyncClient(timeout=timeout, transport=transport, **self._requests.settings)

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
        with reachable(self.url):
            response = await self._http.post(**self._requests.film(film, model, options))
        return answer_of(response)


def _header_value(option: str, value: str) -> bytes:
    """An option's text as a header can hold it: `Östeopenie` is sent as `%C3%96steopenie`, which the server reads back.

    Raises:
        ClientError: It has a line break or the like.
    """
    if not value.isprintable():
        raise ClientError(f"option {option} is {value!r}: one line of letters, digits and signs, such as 63 or female")
    return (value if value.isascii() and "%" not in value else quote(value, safe=" ")).encode()


def _retry_rules() -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_may_succeed_later),
        "stop": stop_after_attempt(ATTEMPTS),
        "wait": wait_exponential_jitter(multiplier=0.2, max=5.0),
        "reraise": True,
    }


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, RequestRefused):
        return error.status in _RETRIED_STATUSES
    # A connection that broke may have been a restarting worker; an address where nobody listens is final.
    return isinstance(error, DamagedAnswer | ServerUnreachable) and not isinstance(error.__cause__, httpx.ConnectError)
