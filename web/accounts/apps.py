"""The app `accounts`."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts; listens to log-ins, so that the audit log has them however they come."""

    name = "accounts"

    def ready(self) -> None:
        """Connect the audit log to Django's signals."""
        from accounts import audit

        audit.connect()
