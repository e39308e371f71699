"""`manage.py first_account`: the account `admin`, where there is no account yet."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.first import FIRST_NAME, first_account


class Command(BaseCommand):
    """Make the first account; `serve_web` does it too."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Make it and print its one-time password, if it has one."""
        password = first_account()
        if password:
            self.stdout.write(first_account_line(password))


def first_account_line(password: str) -> str:
    """Line that is printed once, at the first start."""
    return f"First start: log in as {FIRST_NAME} with the one-time password {password}"
