"""From a server's response to an answer, or to the error that says what the response means."""

import httpx
from pydantic import ValidationError

from osteolens.errors import ClientError, RequestRefused
from osteolens.rows import DIGEST_HEADER, ErrorAnswer, FilmRefused, Refusal, content_digest, parse
from osteolens.schema import Answer

BUSY_STATUSES = frozenset({429, 503})
_KEY_REFUSED = b"InvalidKeyException"
_FRONT_END_HINTS = {
    400: "give the inference key of key_file.json as OSTEOLENS_KEY or with --key-file",  # TorchServe's 400 is the key's
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


def answer_of(response: httpx.Response) -> Answer:
    """The answer in a response.

    Raises:
        RequestRefused, FilmRefused, DamagedAnswer: As `Client.predict` says.
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
    if isinstance(row, Refusal) and row.quality.reasons:
        raise FilmRefused(row)
    if not isinstance(row, Answer):
        raise DamagedAnswer(f"{response.url.host} sent something other than one answer for one film")
    shares = row.probabilities
    if abs(sum(shares.values()) - 1) > 0.01 or shares.get(row.label, -1.0) < max(shares.values()) - 1e-6:
        raise DamagedAnswer(f"the answer contradicts itself: {row.label!r} from probabilities {shares}")
    return row


def refuses_key(response: httpx.Response) -> bool:
    """Whether a response refuses the inference key."""
    return response.status_code == 401 or (response.status_code == 400 and _KEY_REFUSED in response.content)


def _check_digest(response: httpx.Response) -> None:
    """Compare a body with the SHA-256 that was sent along (RFC 9530); only that finds a digit that changed."""
    sent = response.headers.get(DIGEST_HEADER, "")
    if sent.startswith("sha-256=") and sent != (actual := content_digest(response.content)):
        raise DamagedAnswer(f"the answer's digest is {actual} where {sent} was sent along")


def refusal_of(response: httpx.Response) -> RequestRefused:
    """The error of a response: from the schema's error object, or from TorchServe's own."""
    status, error = response.status_code, _error_of(response)
    if status in BUSY_STATUSES:
        busy = ServerBusy(status, *error)
        retry_after = response.headers.get("Retry-After", "")
        # Its other form, a date, needs clocks that agree, and is left out.
        busy.retry_after = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
        return busy
    return KeyRefused(status, *error) if refuses_key(response) else RequestRefused(status, *error)


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


def _front_end_message(response: httpx.Response) -> str:
    """The message of TorchServe's own error, or of a proxy's page.

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
