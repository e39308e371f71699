"""The form that comes with an uploaded film."""

from django import forms
from django.utils.translation import gettext
from films.forms import FactsForm

from uploads.known import IfKnown


class UploadForm(FactsForm):
    """Fields that come with a film."""

    if_known = forms.ChoiceField(
        choices=IfKnown.choices,
        required=False,
        error_messages={"invalid_choice": f"Expected {', '.join(IfKnown.values[:-1])} or {IfKnown.values[-1]}."},
    )

    def clean_if_known(self) -> str:
        """The choice; nothing is changed or doubled without one."""
        return str(self.cleaned_data["if_known"] or IfKnown.ASK)


def first_error(form: forms.BaseForm) -> tuple[str, str]:
    """Message and hint of a form's first error, to be shown beside the film."""
    name, errors = next(iter(form.errors.get_json_data().items()))
    text = str(form.data.get(name, ""))[:80]
    return (
        gettext("%(field)s is %(value)s: %(fault)s")
        % {"field": name.replace("_", " "), "value": repr(text), "fault": errors[0]["message"]},
        gettext("correct it and send the film again"),
    )
