"""Sends films to the server, and sends them again where that may help."""

# mypy: disable-error-code="import-untyped"
import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from osteolens.batch.answerers.http.limiter import Limiter
from osteolens.batch.rows import Status
from osteolens.client import AsyncClient, DamagedAnswer, KeyRefused, ServerBusy, is_loopback
from osteolens.errors import ClientError, RequestRefused, ServerRefuses, ServerUnreachable
from osteolens.rows import FilmRefused
from osteolens.schema import Answer

TRIES = 8
"""Failures that a film may have while the server answers others."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_TELL_AFTER = 2.0
_EVERY_FILM = frozenset({401, 403, 404, 405, 407})  # such a status is about every film


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds.

    Args:
        connect: For a connection.
        read: For the next bytes of an answer.
        total: For a whole answer.
        wait: For the server to answer anything at all, before the batch stops.
    """

    connect: float = 5.0
    read: float = 60.0
    total: float = 120.0
    wait: float = 60.0


@dataclass(frozen=True)
class Reply:
    """Outcome of a film's requests.

    Attributes:
        attempts: Requests that were sent.
        answer: The answer, if there is one.
        latency_ms: From sending to its last byte.
        status, code, message: Without an answer: whether another request may help, and the server's code and message.
    """

    attempts: int
    answer: Answer | None = None
    latency_ms: float | None = None
    status: Status = "answered"
    code: str = ""
    message: str = ""


class Transport(AiohttpTransport):
    """aiohttp's connections under httpx's interface: they take a quarter of the processor time of httpx's own.

    Tells apart who could not be reached, who was too slow, and what broke on the way, which the package mixes up.

    Args:
        url: Address of the server; on this machine it is reached without a proxy.

    Raises:
        ClientError: The environment wants another kind of proxy than aiohttp knows.
    """

    def __init__(self, url: str) -> None:
        proxies = {} if is_loopback(url) else getproxies()
        proxy = proxies.get(urlsplit(url).scheme, "")
        if urlsplit(proxy).scheme not in ("", "http"):
            raise ClientError(f"the proxy {proxy} in the environment cannot be used: an address with http:// can")

        def session() -> aiohttp.ClientSession:
            # With trust_env aiohttp starts two threads for each request, to look for proxies and passwords.
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                trust_env=bool(proxies),
                cookie_jar=aiohttp.DummyCookieJar(),
            )

        super().__init__(client=session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the head of the answer."""
        try:
            response: httpx.Response = await super().handle_async_request(request)
        except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
            cause = error if error.__cause__ is None else error.__cause__
            text = str(cause) or type(cause).__name__
            if isinstance(cause, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(text) from cause
            if isinstance(cause, TimeoutError):
                raise httpx.ReadTimeout(text) from cause
            raise httpx.ReadError(text) from cause
        return response


class Sender:
    """Sends films; each model has its own number of requests under way.

    Args:
        client: Client of the server.
        models: Names of the models.
        maximum: Most requests under way per model.
        patience: How long to wait.
        tell: Shows a message to a person.
    """

    def __init__(
        self,
        client: AsyncClient,
        models: Sequence[str],
        *,
        maximum: int,
        patience: Patience,
        tell: Callable[[str], None],
    ) -> None:
        self.limiters = {model: Limiter(maximum, monotonic) for model in models}
        self._client = client
        self._patience = patience
        self._tell = tell
        self._waiting: set[str] = set()

    async def ask(self, data: bytes, model: str, options: Mapping[str, str]) -> Reply:
        """Send one film, again and again while that may help.

        Raises:
            ServerUnreachable: No answer came to anybody for as long as the patience says.
            ServerRefuses: The server refuses everybody: a wrong key, or no such model.
        """
        limiter = self.limiters[model]
        failures = 0
        for attempt in itertools.count(1):
            async with limiter:
                responses, sent = limiter.responses, monotonic()
                try:
                    async with asyncio.timeout(self._patience.total):
                        answer = await self._client.ask(data, model=model, options=options)
                    latency = monotonic() - sent
                    limiter.answered(latency)
                    self._answers_again(model)
                    return Reply(attempt, answer, round(latency * 1000, 1))
                except FilmRefused as refused:
                    limiter.answered(monotonic() - sent)
                    self._answers_again(model)
                    return Reply(attempt, status="refused", code=refused.code, message=str(refused))
                except (ClientError, httpx.HTTPError, aiohttp.ClientError, OSError) as caught:
                    error = caught
                if isinstance(error, RequestRefused) and _is_final(error):
                    limiter.responded()
                    return _refusal(error, attempt)
                # A last film that takes for ever must not pass for a server that is away.
                alone = limiter.alone and _is_late(error)
                self._note(limiter, model, error, sent, alone=alone)
            if _counts(error, others_answered=alone or limiter.responses > responses):
                failures += 1
                if failures == TRIES:
                    return Reply(attempt, status="failed", code=_code(error), message=_message(error))
            await asyncio.sleep(_pause(attempt))
        raise AssertionError  # the count has no end

    def _note(self, limiter: Limiter, model: str, error: Exception, sent: float, *, alone: bool) -> None:
        """Note a request without an answer.

        Raises:
            ServerUnreachable, ServerRefuses: There is no point in going on.
        """
        if isinstance(error, KeyRefused):
            if not limiter.responses:  # later it may have expired, or the server may be starting with another one
                raise ServerRefuses(f"{self._client.url} refuses the key: {error}") from error
        elif isinstance(error, RequestRefused) and error.status in _EVERY_FILM:
            raise ServerRefuses(f"{self._client.url} refuses {model}: {error}") from error
        trouble = limiter.failed()
        pause = (error.retry_after if isinstance(error, ServerBusy) else None) or 0.0
        if trouble + pause > self._patience.wait and not alone:
            raise ServerUnreachable(
                f"{self._client.url} has not answered for {trouble:.0f} s"
                + (f" and asks to come back in {pause:.0f} s" if pause else "")
                + f" (--wait {self._patience.wait:g}): {_message(error)}"
            ) from error
        if _has_no_room(error):
            limiter.shrink(sent, pause)
        if trouble >= min(_TELL_AFTER, self._patience.wait / 2) and model not in self._waiting:
            self._waiting.add(model)
            self._tell(f"waiting up to {self._patience.wait:g} s for {model}: {_message(error)}")

    def _answers_again(self, model: str) -> None:
        if model in self._waiting:
            self._waiting.discard(model)
            self._tell(f"{model} answers again")


def _is_final(error: RequestRefused) -> bool:
    """Whether the refusal is about this film: the server would repeat it."""
    return 400 <= error.status < 500 and error.status not in (429, *_EVERY_FILM) and not isinstance(error, KeyRefused)


def _refusal(error: RequestRefused, attempt: int) -> Reply:
    ours = not error.code.startswith("http_") or error.status == 413
    return Reply(attempt, status="refused" if ours else "failed", code=error.code, message=_message(error))


def _counts(error: Exception, *, others_answered: bool) -> bool:
    """Whether a failure is one of the film's own: a film that kills its worker must not be tried for ever."""
    if isinstance(error, ServerBusy | KeyRefused):
        return False
    return others_answered or isinstance(error, RequestRefused | DamagedAnswer)


def _has_no_room(error: Exception) -> bool:
    return isinstance(error, ServerBusy) or isinstance(error.__cause__, httpx.ConnectError) or _is_late(error)


def _is_late(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, httpx.TimeoutException)


def _code(error: Exception) -> str:
    if isinstance(error, RequestRefused):
        return error.code
    if isinstance(error, DamagedAnswer):
        return "damaged_answer"
    return "time_out" if _is_late(error) else "no_answer"


def _message(error: Exception) -> str:
    return str(error) or ("the answer takes too long" if isinstance(error, TimeoutError) else type(error).__name__)


def _pause(attempt: int) -> float:
    """Seconds until the next attempt: twice as long each time, and never the same for two films."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - not cryptography
