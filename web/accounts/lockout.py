"""The answer to too many failed log-ins."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from project.errors import error_json, wants_json


def answer(request: HttpRequest, _response: HttpResponse | None = None, _credentials: Any = None) -> HttpResponse:
    """429, as JSON or as a page, with the seconds to wait."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    message = gettext("too many failed log-ins for this name")
    hint = gettext("try again in %(minutes)s minutes") % {"minutes": seconds // 60}
    if wants_json(request):
        response = error_json(429, "too_many_attempts", message, hint, seconds)
    else:
        context = {"message": message, "hint": hint, "retry_after": seconds}
        response = render(request, "429.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response
