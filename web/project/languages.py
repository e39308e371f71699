"""Which language a page is in: the account's, else the browser's choice, else what the browser asks for."""

from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import conditional_page, require_POST, require_safe
from django.views.i18n import JavaScriptCatalog

Respond = Callable[[HttpRequest], HttpResponseBase]


class BrowserLanguage(LocaleMiddleware):
    """The language of the browser's cookie or settings; programs get English."""

    def process_request(self, request: HttpRequest) -> None:
        """Choose it before anything answers, as a refusal is in words too."""
        if request.path.startswith("/api/"):
            _speak(request, settings.LANGUAGE_CODE)
        else:
            super().process_request(request)


def account_language(get_response: Respond) -> Respond:
    """Let the account's choice overrule the browser's."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        language = getattr(request.user, "language", "")
        if language and not request.path.startswith("/api/"):
            _speak(request, language)
        return get_response(request)

    return respond


def _speak(request: HttpRequest, language: str) -> None:
    translation.activate(language)
    request.LANGUAGE_CODE = language


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep a language for this browser, and for the account of somebody who is logged in; then back to the page."""
    language, back = request.POST.get("language", ""), request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = reverse("uploads:upload")
    response = HttpResponse(status=303, headers={"Location": back})
    if language not in dict(settings.LANGUAGES):
        return response
    if request.user.is_authenticated:
        request.user.language = language
        request.user.save(update_fields=["language"])
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, language, max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE, httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )  # fmt: skip
    return response


@require_safe
@conditional_page
def texts(request: HttpRequest, language: str) -> HttpResponse:
    """The texts of the browser's scripts as a script, which gives them `gettext`, `ngettext` and `interpolate`."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    response = HttpResponse(script(request, language), content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response


def script(request: HttpRequest, language: str) -> str:
    """The JavaScript of Django's catalogue in a language."""
    with translation.override(language):
        return cast(HttpResponse, JavaScriptCatalog.as_view()(request)).content.decode()
