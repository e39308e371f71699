"""A number for each request, in its answer and in every line that is logged meanwhile; and a line for each request."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

Respond = Callable[[HttpRequest], HttpResponseBase]
HEADER = "X-Request-ID"
_SENT = re.compile(r"[\w-]{8,64}", re.ASCII)
_current: ContextVar[HttpRequest | None] = ContextVar("request", default=None)

logger = logging.getLogger("osteolens.requests")


class InRequest(logging.Filter):
    """Adds the number of the request, and of the account whose request it is, to what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if request := _current.get():
            record.request_id = request.META[HEADER]
            record.account = _account(request)
        return True


def number(get_response: Respond) -> Respond:
    """Give a request its number: that of the proxy in front, if it sends one, else a new one.

    The line names the route and not the address, which can hold what was searched for, and an account by its number.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get(HEADER, "") if settings.BEHIND_TLS else ""
        request.META[HEADER] = sent if _SENT.fullmatch(sent) else uuid.uuid4().hex
        begun, token = time.perf_counter(), _current.set(request)
        try:
            response = get_response(request)
            response[HEADER] = request.META[HEADER]
            if request.resolver_match or response.status_code >= 400:  # neither files nor probes that go well
                route = f"/{request.resolver_match.route}" if request.resolver_match else ""
                facts = {"method": request.method, "route": route, "status": response.status_code}
                ms = round((time.perf_counter() - begun) * 1000)
                logger.info("%s %s %d", *facts.values(), extra=facts | {"ms": ms})
            return response
        finally:
            _current.reset(token)

    return respond


def _account(request: HttpRequest) -> int | None:
    # Django keeps who it has looked up; to look up who nobody has asked for would cost a query.
    user = getattr(getattr(request, "auth", None), "user", None) or getattr(request, "_cached_user", None)
    return getattr(user, "pk", None)
