"""Answers to films, and their way to an archive; both tables are queues as well."""

from typing import Any

from django.db import models
from django.utils import timezone

from films.models.film import Film


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
    # Attempts that brought nonsense; an absent server counts for none.
    failures = models.PositiveIntegerField(default=0)
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
        """The queue in order, and what was asked lately."""

        indexes = (
            models.Index(fields=["state", "next_try_at"], name="reading_queue"),
            models.Index(fields=["asked_at"], name="reading_asked"),
        )

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


class Delivery(models.Model):
    """An answer on its way to the archive, as DICOM objects; rows in state `queued` are a queue like the readings'."""

    class State(models.TextChoices):
        """Progress of the delivery."""

        QUEUED = "queued"
        SENT = "sent"
        FAILED = "failed"

    reading = models.OneToOneField(Reading, models.CASCADE, related_name="delivery")
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now)
    message = models.TextField(blank=True)

    class Meta:
        """The queue in order."""

        indexes = (models.Index(fields=["state", "next_try_at"], name="delivery_queue"),)

    def __str__(self) -> str:
        return f"delivery of reading {self.reading_id}, {self.state}"
