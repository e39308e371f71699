"""Requests to the server that reads films, and their outcomes."""

import base64
import logging
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from django.conf import settings

from films import reachable
from films.exporting import explanations_in
from osteolens.client import Client, KeyRefused, ServerBusy
from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.films.overlay import decode_map
from osteolens.options import ALL_TARGETS
from osteolens.rows import FilmRefused
from osteolens.schema import Answer

READ_SECONDS = 60.0
CONNECT_SECONDS = 2.0
PING_SECONDS = 5.0
AWAY, BUSY = "server_away", "server_busy"
_GATEWAY = (502, 504)
"""Statuses of a proxy whose server is away."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Outcome of one request.

    Attributes:
        answer: None if there is none.
        maps: PNG of each explanation, as `exporting.explanations_in` orders them.
        facts: The patient's facts that were sent along.
        code: Error code of the HTTP contract.
        message: Text of the error, to be shown.
        is_final: Asking again would bring the same.
        is_server_away: Nobody is there to answer, or there is no room: nothing is wrong with the question.
    """

    answer: Answer | None = None
    maps: tuple[bytes, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    is_final: bool = False
    is_server_away: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """The answer as JSON without the pictures of its maps."""
        if self.answer is None:
            raise ValueError("there is no answer")
        row = self.answer.model_dump(mode="json", by_alias=True)
        for explanation in explanations_in(row):
            explanation["map_png"] = ""
        return row


def ask(model: str, data: bytes, facts: dict[str, str]) -> Outcome:
    """Ask one model once, for the maps of every class; never raises.

    Args:
        model: The name it is served under.
        data: The film's bytes as given.
        facts: Options of the HTTP contract: facts about the patient, and perhaps `force`.
    """
    try:
        client = _client()
    except ClientError as error:  # a key file that is missing or half written: the server is starting
        return _away(error)
    try:
        answer = client.ask(data, model=model, options={"target": ALL_TARGETS, **facts})
        every = [*answer.explanations, *(each for knee in answer.knees for each in knee.explanations)]
        maps = tuple(_checked_map(explanation.map_png) for explanation in every)
    except ServerBusy as error:
        return Outcome(code=BUSY, message=str(error), is_server_away=True)
    except (ServerUnreachable, KeyRefused, httpx.HTTPError) as error:
        return _away(error)
    except RequestRefused as error:
        if error.status in _GATEWAY:
            return _away(error)
        # The server's own error object, or 413, says that the film or an option is at fault; anything else may pass.
        final = error.status == 413 or (400 <= error.status < 500 and not error.code.startswith("http_"))
        return Outcome(code=error.code, message=str(error), is_final=final)
    except FilmRefused as error:
        return Outcome(code=error.code, message=error.message, is_final=True)
    except ClientError as error:
        return Outcome(code="damaged_answer", message=str(error))
    except Exception:  # of one film: it must not end the thread that reads all others
        logger.exception("a question to %s failed", model)
        return Outcome(code="failed", message="the answer could not be understood; the log says why")
    reachable.note_back()
    return Outcome(answer=answer, maps=maps, facts=facts)


def is_there() -> bool:
    """Look whether the server is up, has workers and takes our key, and remember what was found; never raises."""
    try:
        _client().ping(PING_SECONDS)
    except (ClientError, httpx.HTTPError) as error:
        _away(error)
        return False
    return True


def _away(error: Exception) -> Outcome:
    reachable.note_away(str(error))
    return Outcome(code=AWAY, message=str(error), is_server_away=True)


def _checked_map(map_png: str) -> bytes:
    # Checked before it is stored: a map that cannot be decoded makes the whole answer a damaged one.
    decode_map(map_png)
    return base64.b64decode(map_png)


@cache
def _client() -> Client:
    """Client with the process's connection pool; the key file is read again whenever the server refuses the key.

    Raises:
        ClientError: There is no key file yet; nothing is remembered then.
    """
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    key_file = settings.SERVER_KEY_FILE
    return Client(settings.SERVER_URL or None, settings.SERVER_KEY or None, key_file=key_file, timeout=timeout)
