"""Error answers: a page for people, an `ErrorAnswer` of the HTTP contract for programs."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from osteolens.errors import InputError
from osteolens.schema import ErrorAnswer, ErrorDetail, dump

_JSON_PATHS = ("/api/", "/upload", "/session")
_CSRF_HINT = "reload the page and send it again; cookies must be allowed"


def json_body(content: bytes, status: int = 200) -> HttpResponse:
    """A JSON answer from bytes."""
    return HttpResponse(content, status=status, content_type="application/json")


def error_json(status: int, code: str, message: str, hint: str = "") -> HttpResponse:
    """An error of the HTTP contract."""
    return json_body(dump(ErrorAnswer(error=ErrorDetail(code=code, message=message, hint=hint))), status)


def input_error(error: InputError) -> HttpResponse:
    """What somebody sent cannot be used."""
    return error_json(error.status, error.code, error.message, error.hint)


def wants_json(request: HttpRequest) -> bool:
    """Whether a program asked: the API and the addresses that our JavaScript calls."""
    return request.path.startswith(_JSON_PATHS) or request.path.endswith("/state")


def refuse(request: HttpRequest, status: int, code: str, message: str, hint: str = "") -> HttpResponse:
    """An error as JSON or as the page `<status>.html`, whoever asked."""
    if wants_json(request):
        return error_json(status, code, message, hint)
    return render(request, f"{status}.html", {"message": message, "hint": hint}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """400: what Django itself refuses (a malformed host, form or cookie)."""
    return refuse(request, 400, "bad_request", "the request cannot be understood", "go back and try again")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """403."""
    return refuse(request, 403, "forbidden", "this is not open to you", "log in with an account that may see it")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """404: also for what belongs to somebody else, and for what has been deleted."""
    return refuse(request, 404, "not_found", "there is nothing here, or no longer", "look in your films")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """403 for a form that was not sent from our own page, or from one that is too old."""
    if wants_json(request):
        return error_json(403, "csrf", "the form's token is missing or too old", _CSRF_HINT)
    context = {"message": "the form's token is missing or too old", "hint": _CSRF_HINT}
    return render(request, "403_csrf.html", context, status=403)
