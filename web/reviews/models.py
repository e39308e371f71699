"""Reviews, and the overlap of stored maps with the regions that reviewers drew."""

import uuid
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy, pgettext_lazy
from films import storage
from films.models import Film, Reading

REGIONS = "regions"


class Review(models.Model):
    """Opinion of one person about one film; changed in place, with a line in the audit log.

    Perception and reference are two facts. `seen_label` is what the reviewer sees, and `label_said` repeats it,
    whichever field says it (`ReviewForm.stated_label`): agreement is computed from that. `true_label` and `dxa_t_score`
    are what is known from elsewhere: training tables take these first.
    """

    class Verdict(models.TextChoices):
        """Whether the model's answer is right."""

        RIGHT = "right", pgettext_lazy("verdict", "Right")
        WRONG = "wrong", pgettext_lazy("verdict", "Wrong")
        UNSURE = "unsure", pgettext_lazy("verdict", "Unsure")

    class MapRating(models.TextChoices):
        """Rating of the answer's map by somebody who knows knees."""

        PLAUSIBLE = "plausible", gettext_lazy("Plausible")
        PARTLY = "partly", gettext_lazy("Partly plausible")
        IMPLAUSIBLE = "implausible", gettext_lazy("Implausible")

    film = models.ForeignKey(Film, models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reviews")
    blind = models.BooleanField()
    reading = models.ForeignKey(Reading, models.SET_NULL, null=True, related_name="+")
    verdict = models.CharField(max_length=6, choices=Verdict.choices, blank=True)
    seen_label = models.CharField(max_length=100, blank=True)
    true_label = models.CharField(max_length=100, blank=True)
    dxa_t_score = models.FloatField(null=True, blank=True)
    label_said = models.CharField(max_length=100, blank=True)
    map_rating = models.CharField(max_length=11, choices=MapRating.choices, blank=True)
    region = models.UUIDField(null=True)
    remark = models.TextField(max_length=4000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        """Unique by person and film."""

        constraints = (models.UniqueConstraint(fields=["film", "reviewer"], name="review_once_per_reviewer"),)
        permissions = (("review", "May review films that others opened for review"),)

    def __str__(self) -> str:
        return f"review {self.pk} of film {self.film_id}"

    @property
    def region_path(self) -> Path | None:
        """The file of the drawn region; None without one."""
        return region_file(self.film_id, self.region) if self.region else None


class MapScore(models.Model):
    """Overlap of a reading's map with a drawn region: `reviews.agreement.MapScores`, stored as neither ever changes."""

    review = models.ForeignKey(Review, models.CASCADE, related_name="scores")
    region = models.UUIDField()
    reading = models.ForeignKey(Reading, models.CASCADE, related_name="+")
    pointing = models.FloatField(null=True)
    mass = models.FloatField(null=True)
    iou = models.FloatField(null=True)
    area = models.FloatField()

    class Meta:
        """Computed once."""

        constraints = (models.UniqueConstraint(fields=["region", "reading"], name="score_once_per_map"),)

    def __str__(self) -> str:
        return f"score of reading {self.reading_id} in review {self.review_id}"


def region_file(film_id: uuid.UUID, region: uuid.UUID) -> Path:
    """The 1-bit PNG of a region: in the film's folder, so that it goes with it."""
    return storage.folder(film_id) / REGIONS / f"{region}.png"
