"""Who else may see a film, and who has seen its answer."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from films.models.film import Film, Patient


class Share(models.Model):
    """A film, or a patient with all films, that a named account may see as well."""

    film = models.ForeignKey(Film, models.CASCADE, null=True, related_name="shares")
    patient = models.ForeignKey(Patient, models.CASCADE, null=True, related_name="shares")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        """One thing is shared, once with each account."""

        constraints = (
            models.CheckConstraint(
                condition=models.Q(film__isnull=True, patient__isnull=False)
                | models.Q(film__isnull=False, patient__isnull=True),
                name="share_of_one_thing",
            ),
            models.UniqueConstraint(fields=["user", "film"], name="share_film_once"),
            models.UniqueConstraint(fields=["user", "patient"], name="share_patient_once"),
        )

    def __str__(self) -> str:
        return f"share with {self.user_id}"


class Sighting(models.Model):
    """Somebody was shown an answer's label, wherever it was: from then on their review of the film is an open one."""

    # Without a constraint of the database: a film that is deleted while a page is made must not break the page.
    film = models.ForeignKey(Film, models.CASCADE, related_name="sightings", db_constraint=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        """The first time counts."""

        constraints = (models.UniqueConstraint(fields=["user", "film"], name="sighting_once"),)

    def __str__(self) -> str:
        return f"film {self.film_id} seen by {self.user_id}"
