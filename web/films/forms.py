"""Forms of the facts about a patient and of the history's filters."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from accounts.forms import check_text
from django import forms
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import Expression, OrderBy
from django.db.models.functions import Coalesce, Lower, NullIf
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

from films.models import FACTS, Film, Patient
from films.terms import WORDS, word
from osteolens.inference.calibration import ZONES

NO_ANSWER = "none"
SORTS = {
    "newest": gettext_lazy("newest first"),
    "oldest": gettext_lazy("oldest first"),
    "name": gettext_lazy("name, A to Z"),
    "-name": gettext_lazy("name, Z to A"),
    "label": gettext_lazy("answer, A to Z"),
    "-label": gettext_lazy("answer, Z to A"),
    "triage": gettext_lazy("triage, refer first"),
    "-triage": gettext_lazy("triage, low suspicion first"),
    "t_score": gettext_lazy("T-score, lowest first"),
    "-t_score": gettext_lazy("T-score, highest first"),
    "model": gettext_lazy("model, A to Z"),
    "-model": gettext_lazy("model, Z to A"),
    "state": gettext_lazy("state"),
    "patient": gettext_lazy("patient"),
}
"""Orders of the history, and their words."""
HEADERS = {
    "name": "name",
    "label": "label",
    "triage": "triage",
    "t_score": "t_score",
    "model": "model",
    "date": "oldest",
}
"""Columns of the history that sort it, and their ascending orders."""
_ORDERS: dict[str, tuple[Expression | F, ...]] = {
    # As films are called on pages: by their own label where they have one.
    "name": (Lower(Coalesce(NullIf("label_text", Value("")), "name")),),
    "label": (NullIf("label", Value("")),),
    "triage": (Case(*(When(triage=zone, then=Value(place)) for place, zone in enumerate(ZONES)), default=None),),
    "t_score": (F("t_score"),),
    "model": (NullIf("model", Value("")), F("model_version")),
    "state": (F("state"),),
}


def ordered(films: QuerySet[Film], sort: str) -> QuerySet[Film]:
    """Films in an order of `SORTS`; what has no value comes last either way, and of equals the newest comes first."""
    if sort == "patient":
        patient = F("patient__name").asc(nulls_last=True)
        return films.order_by(patient, "side", F("taken_on").asc(nulls_first=True), "uploaded_at", "id")
    if sort == "oldest":
        return films.order_by("uploaded_at", "id")
    downwards, name = sort.startswith("-"), sort.removeprefix("-")
    keys = [OrderBy(key, descending=downwards, nulls_last=True) for key in _ORDERS.get(name, ())]
    return films.order_by(*keys, "-uploaded_at", "id")


_EXPECTED = {
    "age": gettext_lazy("Expected years from 0 to 120, such as 63."),
    "sex": gettext_lazy("Expected female or male."),
    "weight_kg": gettext_lazy("Expected kilograms from 2 to 400, such as 71.5."),
    "height_m": gettext_lazy("Expected metres from 0.3 to 2.5, such as 1.62."),
    "side": gettext_lazy("Expected left or right."),
    "view": gettext_lazy("Expected a view position of DICOM: AP, PA, LL or RL."),
    "taken_on": gettext_lazy("Expected a day from 1895 to today, such as 2026-11-24."),
}
_FIRST_XRAY = date(1895, 1, 1)


class Text(forms.CharField):
    """A text that every database can store."""

    def clean(self, value: Any) -> str:
        """The text without the spaces around it."""
        return str(super().clean(check_text(value) if isinstance(value, str) else value))


class FactsForm(forms.ModelForm):  # type: ignore[type-arg]  # it cannot be subscripted at run time
    """Label, note and clinical facts; everything may be left out. Limits as in `osteolens.options.Options`."""

    patient = Text(
        max_length=Patient._meta.get_field("name").max_length,
        required=False,
        label=gettext_lazy("Patient"),
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("a pseudonym, no name")}),
    )
    side = forms.ChoiceField(
        choices=[("", gettext_lazy("unknown")), *Film.Side.choices], required=False, label=gettext_lazy("Side")
    )
    view = forms.ChoiceField(
        choices=[("", gettext_lazy("unknown")), *Film.View.choices], required=False, label=gettext_lazy("View")
    )
    taken_on = forms.DateField(
        required=False, label=gettext_lazy("Date of the film"), widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    label_text = Text(max_length=100, required=False, label=gettext_lazy("Label"))
    note = Text(max_length=4000, required=False, label=gettext_lazy("Note"), widget=forms.Textarea(attrs={"rows": 3}))
    age = forms.FloatField(min_value=0, max_value=120, required=False, label=gettext_lazy("Age (years)"))
    sex = forms.ChoiceField(
        choices=[("", gettext_lazy("not given")), *Film.Sex.choices], required=False, label=gettext_lazy("Sex")
    )
    weight_kg = forms.FloatField(min_value=2, max_value=400, required=False, label=gettext_lazy("Weight (kg)"))
    height_m = forms.FloatField(min_value=0.3, max_value=2.5, required=False, label=gettext_lazy("Height (m)"))

    class Meta:
        """Fields of `Film`."""

        model = Film
        fields: tuple[str, ...] = ("side", "view", "taken_on", "label_text", "note", *FACTS)

    field_order = ("patient",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["patient"].initial = self.instance.patient_name
        for name, expected in _EXPECTED.items():
            if name in self.fields:
                codes = ("invalid", "invalid_choice", "min_value", "max_value")
                self.fields[name].error_messages |= dict.fromkeys(codes, str(expected))

    def clean_taken_on(self) -> date | None:
        """The day; none on which no film can have been made. It may be tomorrow here where it is today elsewhere."""
        day: date | None = self.cleaned_data["taken_on"]
        if day and not _FIRST_XRAY <= day <= date.today() + timedelta(days=1):
            raise forms.ValidationError(str(_EXPECTED["taken_on"]))
        return day

    @classmethod
    def of(cls, names: Collection[str]) -> Self:
        """An empty form with some of the fields."""
        form = cls()
        form.keep(names)
        return form

    def keep(self, names: Collection[str]) -> None:
        """Leave all fields out but these."""
        self.fields = {name: field for name, field in self.fields.items() if name in names}


class EditForm(FactsForm):
    """Facts that may be changed later, and who may review the film."""

    class Meta(FactsForm.Meta):
        """Fields of `FactsForm`, with the switch that shows the film to reviewers."""

        fields = (*FactsForm.Meta.fields, "open_for_review")


class AskForm(FactsForm):
    """Some of the facts about the patient, each of them needed."""

    def __init__(self, *args: Any, names: Collection[str], **kwargs: Any) -> None:
        super().__init__(*args, auto_id="ask_%s", **kwargs)
        self.keep(names)
        for field in self.fields.values():
            field.required = True


class HistoryForm(forms.Form):
    """The history's filters and order; a field that makes no sense is left out and says so."""

    q = Text(max_length=200, required=False, label=gettext_lazy("Search"))
    label = Text(max_length=100, required=False, label=pgettext_lazy("class", "Label"))
    triage = forms.ChoiceField(
        choices=[("", gettext_lazy("all")), *((zone, WORDS[zone]) for zone in ZONES)],
        required=False,
        label=gettext_lazy("Triage"),
    )
    sort = forms.ChoiceField(choices=list(SORTS.items()), required=False, label=gettext_lazy("Sort"))

    def __init__(self, data: Any, labels: list[str]) -> None:
        super().__init__(data)
        # `from` is a word of Python, so these two cannot be attributes of the class.
        wrong = {"invalid": gettext("Expected a day, such as 2026-11-24.")}
        self.fields["from"] = forms.DateField(required=False, label=gettext("From"), error_messages=wrong)
        self.fields["to"] = forms.DateField(required=False, label=gettext("To"), error_messages=wrong)
        names = [(label, word(label)) for label in labels]
        choices = [("", gettext("all")), *names, (NO_ANSWER, gettext("no answer yet"))]
        self.fields["label"].widget = forms.Select(choices=choices)

    def narrow(self, films: QuerySet[Film]) -> QuerySet[Film]:
        """The films that pass, in order."""
        self.is_valid()
        chosen = self.cleaned_data
        if chosen.get("q"):
            text = chosen["q"]
            films = films.filter(
                Q(label_text__icontains=text)
                | Q(note__icontains=text)
                | Q(name__icontains=text)
                | Q(patient__in=Patient.objects.filter(name__icontains=text).values("pk"))
            )
        if chosen.get("label"):
            films = films.filter(label="" if chosen["label"] == NO_ANSWER else chosen["label"])
        if chosen.get("triage"):
            films = films.filter(triage=chosen["triage"])
        if chosen.get("from"):
            films = films.filter(uploaded_at__gte=datetime.combine(chosen["from"], time.min, UTC))
        if chosen.get("to"):
            films = films.filter(uploaded_at__lte=datetime.combine(chosen["to"], time.max, UTC))
        return ordered(films, self.order)

    @property
    def order(self) -> str:
        """Name of the order."""
        return self.cleaned_data.get("sort") or "newest"

    @property
    def headers(self) -> dict[str, dict[str, str]]:
        """For each column that sorts: `aria`, its present order, and `next`, the order that its header leads to."""
        headers = {}
        for column, up in HEADERS.items():
            down = "newest" if up == "oldest" else f"-{up}"
            aria = {up: "ascending", down: "descending"}.get(self.order, "")
            # Dates are wanted newest first, everything else from the start of the alphabet or of the scale.
            first, second = (down, up) if column == "date" else (up, down)
            headers[column] = {"aria": aria, "next": second if self.order == first else first}
        return headers

    @property
    def is_narrow(self) -> bool:
        """Whether any filter is set."""
        return any(self.cleaned_data.get(name) for name in ("q", "label", "triage", "from", "to"))
