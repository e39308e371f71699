"""Films and their answers."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

FACTS = ("age", "sex", "weight_kg", "height_m")
"""Facts about the patient that models get."""


class Film(models.Model):
    """An uploaded film. Its bytes and pictures are in `films.storage`; a row is written after them.

    The same bytes may be there several times, each time with facts of their own; `copy` numbers these films from 0.

    `state` to `warnings` repeat the main answer (of the first model of settings.MODELS that has one), so that the
    history needs no other table.
    """

    class State(models.TextChoices):
        """Whether there is an answer."""

        WAITING = "waiting"
        ANSWERED = "answered"
        REFUSED = "refused"

    class Sex(models.TextChoices):
        """Sex of the patient, in the words of the HTTP contract."""

        FEMALE = "female"
        MALE = "male"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    sha256 = models.CharField(max_length=64)
    copy = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=200)
    format = models.CharField(max_length=10)
    bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    picture_warnings = models.JSONField(default=list)
    uploaded_at = models.DateTimeField(default=timezone.now)

    label_text = models.CharField(max_length=100, blank=True)
    note = models.TextField(max_length=4000, blank=True)
    age = models.FloatField(null=True, blank=True)
    sex = models.CharField(max_length=6, choices=Sex.choices, blank=True)
    weight_kg = models.FloatField(null=True, blank=True)
    height_m = models.FloatField(null=True, blank=True)
    open_for_review = models.BooleanField(default=False)

    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    model = models.CharField(max_length=100, blank=True)
    model_version = models.CharField(max_length=40, blank=True)
    label = models.CharField(max_length=100, blank=True)
    probability = models.FloatField(null=True)
    t_score = models.FloatField(null=True)
    triage = models.CharField(max_length=20, blank=True)
    error_message = models.TextField(blank=True)
    warnings = models.JSONField(default=list)

    class Meta:
        """Unique by person, content and copy; indexes for the history's filters and orders."""

        constraints = (models.UniqueConstraint(fields=["owner", "sha256", "copy"], name="film_copy_once"),)
        indexes = (
            models.Index(fields=["owner", "-uploaded_at"], name="film_newest"),
            models.Index(fields=["owner", "label", "-uploaded_at"], name="film_by_label"),
            models.Index(fields=["owner", "triage", "-uploaded_at"], name="film_by_triage"),
            models.Index(fields=["uploaded_at"], name="film_age"),
        )

    def __str__(self) -> str:
        return f"film {self.id}"

    def get_absolute_url(self) -> str:
        """The film's page."""
        return reverse("films:film", args=[self.id])

    @property
    def url(self) -> str:
        """The page's address under its name in the API."""
        return self.get_absolute_url()

    @property
    def title(self) -> str:
        """Name on pages."""
        return self.label_text or self.name

    @property
    def all_warnings(self) -> list[str]:
        """Warnings about the picture and from the main answer, each once."""
        return list(dict.fromkeys([*self.picture_warnings, *self.warnings]))

    @property
    def facts(self) -> dict[str, str]:
        """Facts about the patient, as option texts of the HTTP contract."""
        numbers = {"age": self.age, "weight_kg": self.weight_kg, "height_m": self.height_m}
        texts = {name: f"{value:.10g}" for name, value in numbers.items() if value is not None}
        return texts | ({"sex": self.sex} if self.sex else {})


class Reading(models.Model):
    """Request to one model for one film, and its answer; rows in state `queued` are the queue.

    Older answers are kept: the current one of a model is the answered row with the greatest id.
    """

    class State(models.TextChoices):
        """Progress of the request."""

        QUEUED = "queued"
        ANSWERED = "answered"
        REFUSED = "refused"

    film = models.ForeignKey(Film, models.CASCADE, related_name="readings")
    model = models.CharField(max_length=100)
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    answer = models.JSONField(null=True)
    facts = models.JSONField(default=dict)
    maps = models.UUIDField(null=True)
    label = models.CharField(max_length=100, blank=True)
    triage = models.CharField(max_length=20, blank=True)
    model_version = models.CharField(max_length=40, blank=True)
    card_sha256 = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)

    class Meta:
        """The queue in order."""

        indexes = (models.Index(fields=["state", "next_try_at"], name="reading_queue"),)

    def __str__(self) -> str:
        return f"reading {self.pk}: {self.model}, {self.state}"

    @property
    def row(self) -> dict[str, Any]:
        """The answer's JSON.

        Raises:
            ValueError: There is none yet.
        """
        if self.answer is None:
            raise ValueError(f"{self} has no answer")
        return dict(self.answer)


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
