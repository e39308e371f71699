"""Sends films to a running server and gives typed answers back."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.schema import Answer, ErrorAnswer, header_name, parse

DEFAULT_URL = "http://127.0.0.1:8080"
KEY_FILE = Path("key_file.json")
URL_VARIABLE, KEY_VARIABLE = "OSTEOLENS_URL", "OSTEOLENS_KEY"

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
ATTEMPTS = 4
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})

_KEY_HINT = f"give the inference key of key_file.json as {KEY_VARIABLE} or with --key-file"
_FRONT_END_HINTS = {
    400: _KEY_HINT,  # TorchServe's answer to a wrong or missing key
    404: "is that model's archive in model_store?",
    413: "send at most 64 MiB",
    503: "the server is busy or its worker is starting; try again",
}


class Client:
    """A connection to one server.

    Args:
        url: Address of the inference API.
        key: Inference key; default: the variable OSTEOLENS_KEY, else `key_file.json` in the working folder,
            else none (for a server whose token authorization is off).
        transport: Replaces the network in tests.

    Use it as a context manager, or call `close`.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        key = key or os.environ.get(KEY_VARIABLE) or read_key(KEY_FILE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT, transport=transport)
        except (httpx.InvalidURL, ValueError) as error:
            raise ClientError(f"{self.url!r} is not an address ({error}); for example {DEFAULT_URL}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, film: bytes, *, model: str = "efficientnet", options: Mapping[str, str] | None = None) -> Answer:
        """Ask about one film.

        Args:
            film: The file's bytes.
            model: The name the model is served under.
            options: Option texts by name, see `osteolens.schema.Options`.

        Raises:
            RequestRefused: The server answered with an error: a film or an option that it cannot use, a
                missing key, an unknown model, or still no room after several tries.
            ServerUnreachable: Nobody answers at this address.
        """
        headers = {header_name(name): value for name, value in (options or {}).items()}
        headers["Content-Type"] = "application/octet-stream"
        retrying = Retrying(
            retry=retry_if_exception(_may_succeed_later),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.2, max=5.0),
            reraise=True,
        )
        response: httpx.Response = retrying(self._post, f"/predictions/{model}", film, headers)
        return self._answer_of(response)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        try:
            response = self._http.post(path, content=body, headers=headers)
        except httpx.TransportError as error:
            raise ServerUnreachable(
                f"no answer from {self.url}: {error or type(error).__name__}; is the server up (make serve)?"
            ) from error
        if response.is_error:
            raise refusal_of(response)
        return response

    def _answer_of(self, response: httpx.Response) -> Answer:
        try:
            row = parse(response.content)
        except ValidationError as error:
            raise ClientError(f"{self.url} does not answer as OsteoLens does: {error.errors()[0]['msg']}") from error
        if not isinstance(row, Answer):
            raise ClientError(f"{self.url} sent something other than one answer for one film")
        return row


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
    try:
        row = parse(response.content)
    except ValidationError:
        return RequestRefused(status, f"http_{status}", _front_end_message(response), _FRONT_END_HINTS.get(status, ""))
    if isinstance(row, ErrorAnswer):
        return RequestRefused(status, row.error.code, row.error.message, row.error.hint)
    return RequestRefused(status, f"http_{status}", f"the server answered with status {status}")


def _front_end_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with status {response.status_code}"


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, RequestRefused):
        return error.status in _RETRIED_STATUSES
    # A connection that broke may have been a restarting worker; an address where nobody listens is final.
    return isinstance(error, ServerUnreachable) and not isinstance(error.__cause__, httpx.ConnectError)
