"""A patient's page: all films, left beside right, earlier above later."""

from uuid import UUID

from accounts import audit
from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe
from project import erasing
from project.request import Request

from films import patients
from films.access import patient_of
from films.forms import Text
from films.models import Patient


class NameForm(forms.Form):
    """A patient's new pseudonym."""

    name = Text(max_length=Patient._meta.get_field("name").max_length)


@require_safe
def patient(request: Request, patient_id: UUID) -> HttpResponse:
    """The films of one patient by side and date."""
    shown = patient_of(request.user, patient_id)
    audit.record(request, "list", detail="films of a patient")
    return _page(request, shown, NameForm(initial={"name": shown.name}), 200)


@require_POST
def rename(request: Request, patient_id: UUID) -> HttpResponse:
    """Give another pseudonym."""
    shown = patient_of(request.user, patient_id)
    form = NameForm(request.POST)
    if form.is_valid():
        try:
            with transaction.atomic():
                Patient.objects.filter(pk=shown.pk).update(name=form.cleaned_data["name"])
                transaction.on_commit(erasing.empty_log)
        except IntegrityError:
            form.add_error(
                "name", gettext("Another patient of yours is called so: choose another pseudonym, such as P-018.")
            )
    if not form.is_valid():
        return _page(request, shown, form, 400)
    audit.record(request, "edit", detail="a patient's pseudonym")
    messages.success(request, gettext("Saved."))
    return redirect(shown)


def _page(request: Request, shown: Patient, form: NameForm, status: int) -> HttpResponse:
    context = {
        "patient": shown,
        "knees": patients.knees(shown.films.all()),
        "form": form,
        "shares": list(shown.shares.select_related("user").order_by("user__username")),
    }
    return render(request, "films/patient.html", context, status=status)
