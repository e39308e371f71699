"""Pages that need no log-in: health, and what makes the app installable."""

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from project import languages


@require_safe
def health(_request: HttpRequest) -> HttpResponse:
    """200 if the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"ok": False}, status=503)
    return JsonResponse({"ok": True})


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """The web app manifest."""
    return render(request, "pwa/manifest.webmanifest", content_type="application/manifest+json")


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker; from the root, so that it may look after all pages."""
    context = {"texts": languages.script(request, get_language() or settings.LANGUAGE_CODE)}
    response = render(request, "pwa/sw.js", context, content_type="text/javascript")
    response["Cache-Control"] = "no-cache"
    response["Service-Worker-Allowed"] = "/"
    return response


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """Page for times without a network; the service worker keeps it."""
    response = render(request, "pwa/offline.html")
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
def numbers(request: HttpRequest) -> HttpResponse:
    """Explanation of every number of an answer."""
    return render(request, "help.html")
