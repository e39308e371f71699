"""Checks that every request passes: size, log-in, record of refusals, and no answer in a shared cache."""

from collections.abc import Callable
from uuid import UUID

from accounts import audit
from accounts.sessions import note_visit
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext

from project.errors import error_json, refuse, wants_json

View = Callable[..., HttpResponseBase]
Respond = Callable[[HttpRequest], HttpResponseBase]
_REFUSED = {401, 403, 404, 429}
_TEXTS = ("text/", "application/json", "application/manifest+json", "image/svg+xml")


def limit_body(get_response: Respond) -> Respond:
    """Answer 413 to a body that is too large before anything parses it; `project.connections` does not even keep it."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        # `isdigit` alone accepts characters such as ², on which int() fails.
        size = int(length) if length.isascii() and length.isdigit() else 0
        if size <= settings.MAX_UPLOAD_BYTES + settings.FORM_BYTES:
            return get_response(request)
        hint = gettext("send one film of at most %(size)s MB") % {"size": settings.MAX_UPLOAD_MB}
        message = gettext("the request has %(size)s MB") % {"size": f"{size / 1e6:.0f}"}
        return refuse(request, 413, "too_large", message, hint)

    return respond


class Compress(GZipMiddleware):
    """Compression of pages, scripts and tables; pictures and films are compressed already, and keep their length."""

    def process_request(self, request: HttpRequest) -> None:
        """Compare entity tags weakly (RFC 9110, 13.1.2), which WhiteNoise does not; compressed files have weak ones."""
        if tag := request.META.get("HTTP_IF_NONE_MATCH"):
            request.META["HTTP_IF_NONE_MATCH"] = tag.removeprefix("W/")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Compress what is text and whole; padding of random length hides from others how well it went."""
        is_text = response.get("Content-Type", "").startswith(_TEXTS)
        return super().process_response(request, response) if is_text and response.status_code != 206 else response


def keep_private(get_response: Respond) -> Respond:
    """No cache keeps an answer unless its view says how."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Films and facts of patients: no proxy and no shared browser may keep them.
        response.setdefault("Cache-Control", "private, no-store")
        return response

    return respond


def explain_method(get_response: Respond) -> Respond:
    """405 with a body: for a program JSON, for a person a page that leads back to the film."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code != 405:
            return response
        allowed = response.get("Allow", "")
        message = gettext("%(method)s means nothing at this address") % {"method": request.method}
        if allowed:
            message = gettext("%(method)s means nothing at this address, %(allowed)s does") % {
                "method": request.method,
                "allowed": allowed,
            }
        explained = refuse(request, 405, "wrong_method", message, "see /api/docs" if wants_json(request) else "")
        if allowed:
            explained["Allow"] = allowed
        return explained

    return respond


def note_refusals(get_response: Respond) -> Respond:
    """The audit log has who was refused what: films of others, tokens that are wrong, too many requests."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code in _REFUSED and request.resolver_match:
            place = request.resolver_match
            detail = f"{response.status_code} {request.method} /{place.route}"  # the route holds no label
            try:
                film_id = UUID(str(place.kwargs["film_id"]))
            except (KeyError, ValueError):
                film_id = None
            audit.record_once(request, "refused", film_id, detail, audit.SAME_REFUSAL)
        return response

    return respond


class LogInRequired(LoginRequiredMiddleware):
    """Every view needs a log-in unless it says otherwise; the API has tokens of its own."""

    def process_view(
        self, request: HttpRequest, view_func: View, view_args: tuple[object, ...], view_kwargs: dict[str, object]
    ) -> HttpResponseBase | None:
        """None to go on, or the way to the log-in page."""
        if request.path.startswith("/api/"):
            return None
        answer: HttpResponseBase | None = super().process_view(request, view_func, view_args, view_kwargs)
        if answer is not None and wants_json(request):
            return error_json(
                401, "not_logged_in", gettext("you are not logged in"), gettext("log in and send it again")
            )
        return answer


class StepsFirst(MiddlewareMixin):
    """Redirect of people with a one-time password, or without a second step where it is required: that comes first."""

    def process_view(
        self, request: HttpRequest, view_func: View, _args: tuple[object, ...], _kwargs: dict[str, object]
    ) -> HttpResponse | None:
        """None to go on, or the way to the page where the step is done."""
        if not getattr(view_func, "login_required", True) or request.path.startswith("/api/"):
            return None
        note_visit(request)
        step, code, message = _step_before(request)
        if not step or (request.resolver_match and request.resolver_match.view_name in (step, "accounts:logout")):
            return None
        if wants_json(request):
            return error_json(403, code, message, gettext("open the app in the browser, do it there and try again"))
        return redirect(step)


def _step_before(request: HttpRequest) -> tuple[str, str, str]:
    """View of the step that is missing, with its code and message; nothing where none is."""
    if getattr(request.user, "must_change_password", False):
        return "accounts:password", "password_must_change", gettext("your password is for one time")
    # Whoever comes by single sign-on has shown the provider what it wants to see.
    proven = request.session.get("second_factor") or request.session.get("signed_on")
    if settings.SECOND_FACTOR_REQUIRED and not proven:
        return "accounts:second_factor", "second_factor_missing", gettext("your account needs a second step at log-in")
    return "", "", ""
