"""Forms of the account pages."""

from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_lazy, ngettext
from films.models import Film

from accounts.models import MOST_TOKEN_DAYS, TOKEN_DAYS, AuditEntry, User

DAYS = (7, 30, TOKEN_DAYS, 180, MOST_TOKEN_DAYS)


def check_text(text: str) -> str:
    """Refuse what no database stores: zero characters and halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(gettext("The text holds characters that do not exist: type it again.")) from None
    if "\0" in text:
        raise ValidationError(gettext("The text holds zero characters, which no keyboard types: type it again."))
    return text


class LogInForm(AuthenticationForm):
    """Name and password."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": gettext_lazy("Name and password do not fit each other. Both are case-sensitive."),
    }

    def clean_username(self) -> str:
        """The name, if it can be one."""
        return check_text(str(self.cleaned_data["username"]))[: User._meta.get_field("username").max_length]


class CodeForm(forms.Form):
    """A code of the authenticator app, or a recovery code."""

    code = forms.CharField(
        max_length=40,
        label=gettext_lazy("Code"),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}),
    )

    def clean_code(self) -> str:
        """The code, if it can be one."""
        return check_text(str(self.cleaned_data["code"]))


class TokenForm(forms.Form):
    """Name and life of a new token."""

    name = forms.CharField(max_length=60, label=gettext_lazy("What it is for"))
    days = forms.TypedChoiceField(coerce=int, initial=TOKEN_DAYS, label=gettext_lazy("Ends after"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(days, ngettext("%(days)d day", "%(days)d days", days) % {"days": days}) for days in DAYS]
        self.fields["days"].choices = choices  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        """The name, if it can be stored."""
        return check_text(str(self.cleaned_data["name"]))


class RoleForm(forms.Form):
    """What an account may do."""

    staff = forms.BooleanField(required=False, label=gettext_lazy("Staff: manages accounts, reads the audit log"))
    reviewer = forms.BooleanField(required=False, label=gettext_lazy("Reviewer: reviews films opened for it"))


class AccountForm(RoleForm):
    """A new account."""

    name = forms.CharField(max_length=150, label=gettext_lazy("Name"))
    field_order = ("name", "staff", "reviewer")


class AuditForm(forms.Form):
    """The audit log's filters; a field that makes no sense is left out and says so. Days are UTC's."""

    who = forms.CharField(max_length=150, required=False, label=gettext_lazy("Who"))
    what = forms.ChoiceField(required=False, label=gettext_lazy("What"))
    about = forms.CharField(max_length=60, required=False, label=gettext_lazy("Film or patient"))

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        actions = AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct()
        self.fields["what"].widget.attrs["lang"] = "en"  # words of the log, as they are stored
        self.fields["what"].choices = [("", gettext("all")), *((action, action) for action in actions)]  # type: ignore[attr-defined]
        # `from` is a word of Python, so these two cannot be attributes of the class.
        self.fields["from"] = forms.DateField(required=False, label=gettext("From"))
        self.fields["to"] = forms.DateField(required=False, label=gettext("To"))

    def narrow(self) -> QuerySet[AuditEntry]:
        """The lines that pass, the newest first."""
        self.is_valid()
        chosen, entries = self.cleaned_data, AuditEntry.objects.order_by("-id")
        if chosen.get("who"):
            entries = entries.filter(user_name__icontains=chosen["who"])
        if chosen.get("what"):
            entries = entries.filter(action=chosen["what"])
        if chosen.get("about"):
            entries = entries.filter(_about(chosen["about"]))
        if chosen.get("from"):
            entries = entries.filter(at__gte=datetime.combine(chosen["from"], time.min, UTC))
        if chosen.get("to"):
            entries = entries.filter(at__lte=datetime.combine(chosen["to"], time.max, UTC))
        return entries


def _about(text: str) -> Q:
    """Lines about a film, by its number or at least its first eight digits, or about the films of a patient."""
    digits = text.replace("-", "").lower()
    films = Q(film_id__in=Film.objects.filter(patient__name__iexact=text).values("pk"))
    if 8 <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef"):
        return films | Q(film_id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    return films
