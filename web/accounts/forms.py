"""Forms of the account pages."""

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from accounts.models import User


def check_text(text: str) -> str:
    """Refuse what no database stores: zero characters and halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(gettext("The text holds characters that do not exist.")) from None
    if "\0" in text:
        raise ValidationError(gettext("The text holds zero characters."))
    return text


class LogInForm(AuthenticationForm):
    """Name and password."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": gettext_lazy("Name and password do not fit each other. Both are case-sensitive."),
    }

    def clean_username(self) -> str:
        """The name, if it can be one."""
        return check_text(str(self.cleaned_data["username"]))[: User._meta.get_field("username").max_length]
