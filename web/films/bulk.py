"""The same change to many films, with a preview."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy
from project import erasing

from films import patients
from films.forms import Text
from films.models import Film, Patient
from films.working import ColleagueForm

LEAVE, EMPTY = "", "-"
_SHOWN = 4


class BulkForm(forms.Form):
    """New values for many films; what is left alone stays. Texts are emptied by their boxes, choices by `EMPTY`."""

    patient = Text(max_length=Patient._meta.get_field("name").max_length, required=False, label=gettext_lazy("Patient"))
    empty_patient = forms.BooleanField(required=False)
    side = forms.ChoiceField(
        choices=[(LEAVE, gettext_lazy("leave as it is")), *Film.Side.choices, (EMPTY, gettext_lazy("unknown"))],
        required=False,
        label=gettext_lazy("Side"),
    )
    view = forms.ChoiceField(
        choices=[(LEAVE, gettext_lazy("leave as it is")), *Film.View.choices, (EMPTY, gettext_lazy("unknown"))],
        required=False,
        label=gettext_lazy("View"),
    )
    note = Text(max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 3}), label=gettext_lazy("Note"))
    empty_note = forms.BooleanField(required=False)
    assigned_to = Text(max_length=150, required=False, label=gettext_lazy("Assigned to"))
    empty_assigned_to = forms.BooleanField(required=False)
    read = forms.ChoiceField(
        choices=[
            (LEAVE, gettext_lazy("leave as it is")),
            ("read", gettext_lazy("read")),
            ("unread", gettext_lazy("unread")),
        ],
        required=False,
        label=gettext_lazy("Read"),
    )

    def clean_assigned_to(self) -> Any:
        """The account of this name; None without a name."""
        name = self.cleaned_data["assigned_to"]
        if not name:
            return None
        colleague = ColleagueForm({"name": name})
        if not colleague.is_valid():
            raise forms.ValidationError(list(colleague.errors["name"]))
        return colleague.cleaned_data["name"]

    @property
    def values(self) -> dict[str, Any]:
        """New values of the fields that change, as they are shown: empty texts empty a field."""
        chosen = self.cleaned_data
        values = {name: chosen[name] or "" for name in ("patient", "note", "assigned_to") if _is_set(chosen, name)}
        values |= {name: chosen[name].replace(EMPTY, "") for name in ("side", "view") if chosen[name]}
        return values | ({"read": chosen["read"]} if chosen["read"] else {})


def _is_set(chosen: dict[str, Any], name: str) -> bool:
    return bool(chosen[name] or chosen[f"empty_{name}"])


@dataclass(frozen=True)
class Change:
    """What becomes of one field.

    Attributes:
        name: The field's words.
        value: The new value; empty for none.
        before: The commonest values that go, and how many films have each.
        others: Films with further values that go.
        count: Films that change.
    """

    name: str
    value: str
    before: list[tuple[str, int]]
    others: int
    count: int


def preview(form: BulkForm, films: Collection[Film]) -> list[Change]:
    """What a valid form would change."""
    changes = []
    for name, value in form.values.items():
        new = str(value)
        values = Counter(_value(film, name) for film in films)
        del values[new]
        # Of equally frequent ones in the order of the alphabet: databases give films in orders of their own.
        before = sorted(values.items(), key=lambda item: (-item[1], not item[0], item[0]))[:_SHOWN]
        count = values.total()
        changes.append(
            Change(str(form.fields[name].label), new, before, count - sum(number for _, number in before), count)
        )
    return changes


def apply(form: BulkForm, owner: Any, film_ids: Collection[Any]) -> list[Any]:
    """Change a person's films as a valid form says, all or none; those that changed."""
    with transaction.atomic():
        films = Film.objects.select_for_update(of=("self",)).select_related("patient", "assigned_to")
        rows = list(films.filter(owner=owner, pk__in=film_ids).order_by("pk"))
        values = form.values
        changed = [film.pk for film in rows if any(_value(film, name) != str(value) for name, value in values.items())]
        if not changed:
            return []
        before = {film.patient_id for film in rows}
        chosen = Film.objects.filter(pk__in=changed)
        columns: dict[str, Any] = {name: values[name] for name in ("side", "view", "note") if name in values}
        if "patient" in values:
            columns["patient"] = patients.named(owner, values["patient"])
        if "assigned_to" in values:
            columns["assigned_to"] = values["assigned_to"] or None
        if columns:
            chosen.update(**columns)
        if values.get("read") == "read":
            chosen.filter(read_at=None).update(read_at=timezone.now(), read_by=owner)
        elif values.get("read") == "unread":
            chosen.update(read_at=None, read_by=None)
        patients.tidy(before)
        transaction.on_commit(erasing.empty_log)
    return changed


def _value(film: Film, name: str) -> str:
    if name == "patient":
        return film.patient_name
    if name == "read":
        return "read" if film.read_at else "unread"
    if name == "assigned_to":
        return film.assigned_to.username if film.assigned_to else ""
    return str(getattr(film, name))
