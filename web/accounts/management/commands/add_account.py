"""`manage.py add_account NAME`: a new account."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction

from accounts.first import one_time_password
from accounts.models import REVIEW_PERMISSION, User


class Command(BaseCommand):
    """Make an account; without --password it gets one for one time, which is printed."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name")
        parser.add_argument("--staff", action="store_true", help="sees the counts")
        parser.add_argument("--reviewer", action="store_true", help="may review films that others opened for review")
        parser.add_argument("--password", help="default: a one-time password, printed")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Make it.

        Raises:
            CommandError: The name is taken or malformed, or the password too weak.
        """
        name, chosen = options["name"], options["password"]
        password = chosen or one_time_password()
        user = User(username=name, is_staff=options["staff"], must_change_password=not chosen)
        try:
            UnicodeUsernameValidator()(name)
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.set_password(password)
        try:
            with transaction.atomic():
                user.save(force_insert=True)
                if options["reviewer"]:
                    user.user_permissions.add(_review_permission())
        except IntegrityError:
            raise CommandError(f"there is an account {name!r} already") from None
        self.stdout.write(f"account {name} made" + ("" if chosen else f", one-time password {password}"))


def _review_permission() -> Permission:
    app, codename = REVIEW_PERMISSION.split(".")
    try:
        return Permission.objects.get(content_type__app_label=app, codename=codename)
    except Permission.DoesNotExist:
        raise CommandError("there is no permission to review yet: run manage.py migrate first") from None
