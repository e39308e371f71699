"""The page where a film is reviewed."""

from uuid import UUID

from accounts import audit
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from films import sightings, wording
from project.request import Request

from reviews import access, presenting
from reviews.forms import ReviewForm
from reviews.presenting import Case
from reviews.saving import save


@require_http_methods(["GET", "HEAD", "POST"])
def review(request: Request, film_id: UUID) -> HttpResponse:
    """Show the film with the form, or take the form."""
    film = access.film_for(request.user, film_id)
    case = presenting.case_of(request.user, film)
    if request.method != "POST":
        audit.record(request, *(("view", film.id, "review") if case.shown else ("review", film.id, "opened blind")))
        return _page(request, case, _form(case), 200)
    form = _form(case, request)
    if not form.is_valid():
        return _page(request, case, form, 400)
    save(request, film, form)
    messages.success(request, gettext("Your review is saved."))
    if request.POST.get("then") == "next":
        return redirect("reviews:next")
    return redirect("reviews:review", film.id)


@require_POST
def reveal(request: Request, film_id: UUID) -> HttpResponse:
    """Show the answer before the review, which is then not a blind one."""
    film = access.film_for(request.user, film_id)
    access.show_answer(request, film)
    return redirect("reviews:review", film.id)


@require_safe
def next_film(request: Request) -> HttpResponse:
    """The next film without a review of this person."""
    film = access.films_without_review(request.user).first()
    if film is None:
        messages.success(request, gettext("You have reviewed every film that is open to you."))
        return redirect("reviews:summary")
    return redirect("reviews:review", film.id)


def _form(case: Case, request: Request | None = None) -> ReviewForm:
    data = request.POST if request else None
    return ReviewForm(data, film=case.film, reading=case.reading, hidden=not case.shown, review=case.review)


def _page(request: Request, case: Case, form: ReviewForm, status: int) -> HttpResponse:
    answer = presenting.answer_of(case)
    if answer:
        sightings.note(request.user, [case.film.id])
    context = {
        "code": presenting.code_of(case.film),
        "film": case.film,
        "is_owner": case.film.owner_id == request.user.pk,
        "case": case,
        "form": form,
        "answer": answer,
        "outdated_words": wording.OUTDATED,
        "others": presenting.others_of(case, request.user),
        "viewer_data": presenting.viewer_data(case, answer),
        "region_data": presenting.region_data(case),
        "left": access.films_without_review(request.user).exclude(pk=case.film.pk).count(),
    }
    return render(request, "reviews/review.html", context, status=status)
