"""Context of every template."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from films import reachable

from osteolens import __version__

RESEARCH_ONLY = gettext_lazy("Research use only; not a medical device.")


def facts(_request: HttpRequest) -> dict[str, object]:
    """Names that base.html and the upload page show."""
    return {
        "RESEARCH_ONLY": RESEARCH_ONLY,
        "MAX_UPLOAD_MB": settings.MAX_UPLOAD_MB,
        "VERSION": __version__,
        "READING_AWAY_SINCE": reachable.away_since(),
    }
