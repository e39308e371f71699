"""Pages that need no log-in: health, and what makes the app installable."""

import os

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe
from films import reachable

from project import languages
from project.middleware import Respond


@require_safe
def health(_request: HttpRequest) -> HttpResponse:
    """Liveness: the process answers; it asks nobody else, as a restart would not help these."""
    return JsonResponse({"ok": True})


@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """Readiness: 503 where films could not be kept or shown; a server of answers that is away is none of it."""
    states = {"database": _has_database(), "migrations": False, "storage": os.access(settings.DATA_FOLDER, os.W_OK)}
    if states["database"]:
        executor = MigrationExecutor(connection)
        states["migrations"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    is_ready = all(states.values())
    states["reading"] = reachable.away_since() is None
    return JsonResponse({"ok": is_ready} | states, status=200 if is_ready else 503)


PROBES = {"/healthz": health, "/readyz": ready}


def answer_probes(get_response: Respond) -> Respond:
    """Answer probes before anything else is looked at: they come without TLS, and by whatever address a machine has."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if view := PROBES.get(request.path):
            response = view(request)
            response["Cache-Control"] = "no-store"
            return response
        return get_response(request)

    return respond


def _has_database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


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
