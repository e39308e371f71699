"""Patients, their films, and where these came from."""

import uuid
from datetime import date

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from films.terms import share

FACTS = ("age", "sex", "weight_kg", "height_m")
"""Facts about the patient that models get."""


class Patient(models.Model):
    """Somebody whose films belong together, under a pseudonym; exists as long as there are films.

    `code` is the keyed hash of the number in the headers of DICOM films; empty where a person typed the name.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="patients")
    name = models.CharField(max_length=40)
    code = models.CharField(max_length=16, blank=True)

    class Meta:
        """One of each name and of each code for a person."""

        constraints = (
            models.UniqueConstraint(fields=["owner", "name"], name="patient_name_once"),
            models.UniqueConstraint(fields=["owner", "code"], condition=~models.Q(code=""), name="patient_code_once"),
        )

    def __str__(self) -> str:
        return f"patient {self.id}"

    def get_absolute_url(self) -> str:
        """The patient's page; no name in it."""
        return reverse("films:patient", args=[self.id])


_KEPT = models.Q(deleted_at=None)


class Kept(models.Manager["Film"]):
    """Films that nobody has deleted."""

    def get_queryset(self) -> models.QuerySet["Film"]:
        """All films without those that are about to be removed."""
        return super().get_queryset().filter(_KEPT)


class Film(models.Model):
    """An uploaded film. Its bytes and pictures are in `films.storage`; a row is written after them.

    The same bytes may be there several times, each time with facts of their own; `copy` numbers these films from 0.

    `force`: answered although the gate refuses it.

    `deleted_at`: since when the film is nowhere to be seen; it is removed a little later (`films.retention`), and is
    back if the deletion is undone before. Films that were deleted together have the same time.

    `state` to `answered_facts` repeat the main answer (of the first model of settings.MODELS that has one), so that the
    history needs no other table: `label` to `triage` are what it leads with (`films.leading`), `output` is the model's
    label from the film alone, whether it leads or not.
    """

    class State(models.TextChoices):
        """Whether there is an answer."""

        WAITING = "waiting"
        ANSWERED = "answered"
        REFUSED = "refused"

    class Sex(models.TextChoices):
        """Sex of the patient, in the words of the HTTP contract."""

        FEMALE = "female", gettext_lazy("Female")
        MALE = "male", gettext_lazy("Male")

    class Side(models.TextChoices):
        """The patient's own side."""

        LEFT = "left", gettext_lazy("Left")
        RIGHT = "right", gettext_lazy("Right")

    class View(models.TextChoices):
        """View positions of the DICOM standard (PS3.3 C.8.1.1.1.3 and C.8.11.5.1)."""

        AP = "AP", gettext_lazy("AP, from the front")
        PA = "PA", gettext_lazy("PA, from behind")
        LL = "LL", gettext_lazy("LL, lateral")
        RL = "RL", gettext_lazy("RL, lateral")
        LLO = "LLO", gettext_lazy("LLO, oblique")
        RLO = "RLO", gettext_lazy("RLO, oblique")
        LLD = "LLD", gettext_lazy("LLD, lying on the left")
        RLD = "RLD", gettext_lazy("RLD, lying on the right")

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
    deleted_at = models.DateTimeField(null=True)

    label_text = models.CharField(max_length=100, blank=True)
    note = models.TextField(max_length=4000, blank=True)
    age = models.FloatField(null=True, blank=True)
    sex = models.CharField(max_length=6, choices=Sex.choices, blank=True)
    weight_kg = models.FloatField(null=True, blank=True)
    height_m = models.FloatField(null=True, blank=True)
    patient = models.ForeignKey(Patient, models.SET_NULL, null=True, blank=True, related_name="films")
    side = models.CharField(max_length=5, choices=Side.choices, blank=True)
    view = models.CharField(max_length=3, choices=View.choices, blank=True)
    taken_on = models.DateField(null=True, blank=True)
    open_for_review = models.BooleanField(default=False)
    force = models.BooleanField(default=False)

    read_at = models.DateTimeField(null=True)
    read_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    assigned_to = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="assigned")

    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    model = models.CharField(max_length=100, blank=True)
    model_version = models.CharField(max_length=40, blank=True)
    lead = models.CharField(max_length=5, blank=True)
    headline = models.CharField(max_length=200, blank=True)
    label = models.CharField(max_length=100, blank=True)
    probability = models.FloatField(null=True)
    t_score = models.FloatField(null=True)
    triage = models.CharField(max_length=20, blank=True)
    output = models.CharField(max_length=100, blank=True)
    error_message = models.TextField(blank=True)
    warnings = models.JSONField(default=list)
    answered_facts = models.JSONField(default=dict)

    objects = Kept()
    with_deleted: models.Manager["Film"] = models.Manager()

    class Meta:
        """Unique by person, content and copy; indexes for the history's filters and orders."""

        constraints = (models.UniqueConstraint(fields=["owner", "sha256", "copy"], name="film_copy_once"),)
        indexes = (
            # Without the deleted ones, or to count films would be to read each of them.
            models.Index(fields=["owner", "-uploaded_at"], name="film_newest", condition=_KEPT),
            models.Index(fields=["owner", "label", "-uploaded_at"], name="film_by_label", condition=_KEPT),
            models.Index(fields=["owner", "triage", "-uploaded_at"], name="film_by_triage", condition=_KEPT),
            models.Index(fields=["uploaded_at"], name="film_age"),
            models.Index(fields=["deleted_at"], name="film_deleted", condition=models.Q(deleted_at__isnull=False)),
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
    def patient_name(self) -> str:
        """The patient's pseudonym; empty without one."""
        return self.patient.name if self.patient else ""

    @property
    def day(self) -> date:
        """When the film was made, or else came here."""
        return self.taken_on or self.uploaded_at.date()

    @property
    def share(self) -> str:
        """The leading label's probability in percent; empty without one."""
        return "" if self.probability is None else share(self.probability)

    @property
    def outdated(self) -> bool:
        """Whether the main answer was made from facts that have changed since."""
        return self.state == self.State.ANSWERED and self.answered_facts != self.facts

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

    @property
    def options(self) -> dict[str, str]:
        """What a request says beside the film: the facts, and whether it is answered although the gate refuses it."""
        return self.facts | ({"force": "true"} if self.force else {})


class Origin(models.Model):
    """Where a DICOM film came from, as keyed hashes that are compared with the identifiers of an archive's films."""

    film = models.OneToOneField(Film, models.CASCADE, primary_key=True)
    study = models.CharField(max_length=64)
    instance = models.CharField(max_length=64)
    study_day = models.DateField(null=True)

    def __str__(self) -> str:
        return f"origin of film {self.film_id}"
