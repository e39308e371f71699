"""What is wrong with a request, in words: the value, what is expected, and an example."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from ninja.errors import HttpError, ValidationError
from project.errors import error_json

_EXAMPLES = {
    "page": "1", "page_size": "50", "from": "2026-11-01", "to": "2026-11-24", "triage": "refer", "sort": "-t_score",
    "view": "unread", "file": "@knee.jpg", "film_id": "3f2c8a04-5d3e-4f6b-9a55-0c1d2e3f4a5b", "account": "anna",
    "patient": "P-017", "label_text": "before surgery", "days": "90", "side": "left", "taken_on": "2026-11-24",
}  # fmt: skip
"""Fields whose rule alone does not show what a right value looks like."""


def malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """The first field that is wrong; a value from a body of JSON is not repeated, as it may be a password."""
    first = error.errors[0]
    name = str(first["loc"][-1])
    sent: Mapping[str, Mapping[str, str]] = {"query": request.GET, "form": request.POST}
    value = sent.get(str(first["loc"][0]), {}).get(name)
    example = f"for example {name}={_EXAMPLES[name]}; " if name in _EXAMPLES else ""
    expected = first["msg"].replace("Input should", "it should", 1)
    message = f"{name}: {expected}" if value is None else f"{name} is {value[:80]!r}: {expected}"
    if first["type"] == "missing":
        message = f"{name} is missing"
    return error_json(400, "invalid_option", message, f"{example}see /api/docs")


def refused(error: HttpError) -> HttpResponse:
    """Faults that the framework finds, such as a body that is no JSON."""
    if str(error).startswith("Cannot parse request body"):
        hint = 'send the fields as an object, such as {"account": "anna"}; /api/docs names those of each address'
        return error_json(error.status_code, "bad_request", "the body is not JSON", hint)
    return error_json(error.status_code, "bad_request", str(error), "see /api/docs")
