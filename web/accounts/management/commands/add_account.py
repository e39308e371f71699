"""`manage.py add_account NAME`: a new account."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import managing


class Command(BaseCommand):
    """Make an account; without --password it gets one for one time, which is printed."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name")
        parser.add_argument("--staff", action="store_true", help="manages accounts, sees counts and the audit log")
        parser.add_argument("--reviewer", action="store_true", help="may review films that others opened for review")
        parser.add_argument("--password", help="default: a one-time password, printed")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Make it.

        Raises:
            CommandError: The name is taken or malformed, or the password too weak.
        """
        name, chosen = options["name"], options["password"]
        try:
            _, password = managing.add(name, staff=options["staff"], reviewer=options["reviewer"], password=chosen)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except Permission.DoesNotExist:
            raise CommandError("there is no permission to review yet: run manage.py migrate first") from None
        self.stdout.write(f"account {name} made" + ("" if chosen else f", one-time password {password}"))
