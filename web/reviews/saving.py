"""A checked form becomes a review."""

import uuid

from accounts import audit
from django.db import transaction
from django.http import Http404
from films import storage
from films.models import Film
from project import erasing
from project.request import Request

from reviews import regions
from reviews.forms import CANNOT_TELL, ReviewForm
from reviews.models import Review, region_file


def save(request: Request, film: Film, form: ReviewForm) -> Review:
    """Keep a review; the region's file is there before its row, and the old one goes after it.

    A review stays blind as long as label and region are those that were given before the answer was shown.

    Raises:
        Http404: The film was deleted meanwhile.
    """
    fields = form.cleaned_data
    with transaction.atomic():
        # Locked until the end: a film that is deleted meanwhile would leave the region's file behind.
        if not Film.objects.select_for_update().filter(pk=film.id).exists():
            raise Http404("deleted meanwhile")
        review = Review.objects.filter(film=film, reviewer=request.user).first()
        new = review is None
        if review is None:
            review = Review(film=film, reviewer=request.user, blind=form.hidden)
        elif not form.hidden and form.changes_opinion:
            review.blind = False
        old = review.region_path
        review.reading = form.reading
        review.verdict = form.stated_verdict()
        review.seen_label = fields["seen_label"].replace(CANNOT_TELL, "")
        review.true_label = fields["true_label"]
        review.dxa_t_score = fields["dxa_t_score"]
        review.label_said = form.stated_label()
        review.remark = fields["remark"]
        if not form.hidden:
            review.map_rating = fields["map_rating"]
        if fields["region"]:
            review.region = _store(film, form)
        review.save()
        if fields["region"]:
            review.scores.all().delete()
        transaction.on_commit(erasing.empty_log)
    if fields["region"] and old:
        old.unlink(missing_ok=True)
    changed = "new" if new else f"changed: {', '.join(form.changed_data) or 'nothing'}"
    audit.record(request, "review", film.id, f"{changed}{', blind' if review.blind else ''}")
    return review


def _store(film: Film, form: ReviewForm) -> uuid.UUID | None:
    if form.mask is None:
        return None
    region = uuid.uuid4()
    storage.write(region_file(film.id, region), regions.to_png(form.mask))
    return region
