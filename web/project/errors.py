"""Error answers: a page for people, an `ErrorAnswer` of the HTTP contract for programs."""

import errno
import logging
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import get_language, gettext, gettext_lazy

from osteolens.errors import InputError
from osteolens.rows import ErrorAnswer, ErrorDetail, dump

_JSON_PATHS = ("/api/", "/upload", "/session")
RETRY_SECONDS = 30
# No disk, quota or descriptors left: that passes, so the client is asked to try again.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
_CSRF = gettext_lazy("the form's token is missing or too old")
_CSRF_HINT = gettext_lazy("reload the page and send it again; cookies must be allowed")
_FAULTS = {
    "empty_body": gettext_lazy("The file is empty."),
    "unreadable_image": gettext_lazy("The file cannot be read as a picture."),
    "too_large": gettext_lazy("The file is too large."),
    "too_costly": gettext_lazy("The file would take too long to decode. Save it again as JPEG or PNG."),
    "unsupported_type": gettext_lazy("This kind of file is not supported: JPEG, PNG, TIFF, BMP, WebP or DICOM is."),
    "unusable_image": gettext_lazy("The picture cannot be a film: it is blank or too small."),
}
"""Code of an error of the library to its sentence in other languages, in front of the library's own."""


logger = logging.getLogger(__name__)


class TooMany(InputError):
    """More requests than one person may send, or more work under way than there is room for.

    Args:
        message: What was sent, as in every input error.
        hint: What to do instead.
        wait: Seconds after which it may be sent again.
    """

    code = "too_many_requests"
    status = 429

    def __init__(self, message: str, hint: str, wait: int) -> None:
        super().__init__(message, hint)
        self.wait = wait


def json_body(content: bytes, status: int = 200) -> HttpResponse:
    """A JSON answer from bytes."""
    return HttpResponse(content, status=status, content_type="application/json")


def error_json(status: int, code: str, message: str, hint: str = "", wait: int | None = None) -> HttpResponse:
    """An error of the HTTP contract, with the seconds after which it passes, if it does."""
    detail = ErrorDetail(code=code, message=message, hint=hint, retry_after=wait)
    response = json_body(dump(ErrorAnswer(error=detail)), status)
    if wait is not None:
        response["Retry-After"] = str(wait)
    return response


def input_error(error: InputError) -> HttpResponse:
    """Response to input that cannot be used."""
    return error_json(error.status, error.code, in_words(error), error.hint, _wait(error))


def in_words(error: InputError) -> str:
    """An error's message; one of the library's, which are in English, with what its code means in front of it."""
    if error.code not in _FAULTS or (get_language() or "en").startswith("en"):
        return error.message
    return f"{_FAULTS[error.code]} ({error.message})"


def _wait(error: InputError) -> int | None:
    return error.wait if isinstance(error, TooMany) else None


def wants_json(request: HttpRequest) -> bool:
    """Whether a program asked: the API and the addresses that our JavaScript calls."""
    return request.path.startswith(_JSON_PATHS) or request.path.endswith(("/state", "/matching"))


def refuse(request: HttpRequest, status: int, code: str, message: str, hint: str = "") -> HttpResponse:
    """An error as JSON or as the page `<status>.html`, whoever asked."""
    if wants_json(request):
        return error_json(status, code, message, hint)
    return render(request, f"{status}.html", {"message": message, "hint": hint}, status=status)


def refuse_input(request: HttpRequest, error: InputError) -> HttpResponse:
    """An input error as JSON or as a page, whoever asked."""
    if wants_json(request):
        return input_error(error)
    response = refuse(request, error.status, error.code, in_words(error), error.hint)
    if (wait := _wait(error)) is not None:
        response["Retry-After"] = str(wait)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """400: what Django itself refuses (a malformed host, form or cookie)."""
    return refuse(
        request, 400, "bad_request", gettext("the request cannot be understood"), gettext("go back and try again")
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """403: a permission is missing."""
    return refuse(
        request, 403, "forbidden", gettext("this is not open to you"), gettext("log in with an account that may see it")
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """404: also for what belongs to somebody else, and for what has been deleted."""
    return refuse(
        request, 404, "not_found", gettext("there is nothing here, or no longer"), gettext("look in your films")
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """403 for a form that was not sent from our own page, or from one that is too old."""
    if wants_json(request):
        return error_json(403, "csrf", str(_CSRF), str(_CSRF_HINT))
    context = {"message": _CSRF, "hint": _CSRF_HINT}
    return render(request, "403_csrf.html", context, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 where the disk is full or the database is locked, full or away: that passes.

    The page is rendered without the request: who is logged in would be read from the database.
    """
    error = sys.exc_info()[1]
    status, code, message, hint = (
        500,
        "internal",
        gettext("something went wrong"),
        gettext("the server's log says what"),
    )
    if is_out_of_service(error):
        logger.error("%s is answered with 503: %s", request.path, error)
        status, code, message = 503, "unavailable", gettext("the server cannot store anything at the moment")
        hint = gettext(
            "try again in %(seconds)s seconds; a film that has come already is recognised and not stored twice"
        ) % {"seconds": RETRY_SECONDS}
    if wants_json(request):
        response = error_json(status, code, message, hint)
    else:
        context = {"status": status, "message": f"{message}: {hint}"}
        response = HttpResponse(render_to_string("500.html", context), status=status)
    if status != 500:
        response["Retry-After"] = str(RETRY_SECONDS)
        response._has_been_logged = True  # type: ignore[attr-defined]  # by the line above, without its traceback
    return response


def is_out_of_service(error: BaseException | None) -> bool:
    """Whether disk or database are at fault, and not the request or the code."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return isinstance(error, OperationalError | InterfaceError)
