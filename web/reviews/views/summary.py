"""Summary of all reviews, with links to the films."""

from accounts import audit
from django.core.paginator import Paginator
from django.db.models import BooleanField, Count, Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from films.models import Film
from project.request import Request

from reviews import access
from reviews.agreement import IOU_THRESHOLD, MIN_FILMS, RESAMPLES
from reviews.models import Review
from reviews.presenting import code_of
from reviews.summary import summary_for

PER_PAGE = 24


@require_safe
def summary(request: Request) -> HttpResponse:
    """Counts, agreement, map scores, and the films."""
    page = Paginator(_films(request), PER_PAGE).get_page(request.GET.get("page"))
    audit.record(request, "list", detail=f"reviews, {len(page.object_list)} films")
    context = {
        "summary": summary_for(request.user),
        "left": access.films_without_review(request.user).count(),
        "page": page,
        "codes": [(film, code_of(film)) for film in page.object_list],
        "protocol": {"resamples": RESAMPLES, "min_films": MIN_FILMS, "threshold": IOU_THRESHOLD},
    }
    return render(request, "reviews/summary.html", context)


def _films(request: Request) -> QuerySet[Film]:
    own = Review.objects.filter(film=OuterRef("pk"), reviewer=request.user)
    return (
        access.films_for(request.user)
        .annotate(reviewed=Exists(own, output_field=BooleanField()), count=Count("reviews"))
        .order_by("reviewed", "uploaded_at", "pk")
    )
