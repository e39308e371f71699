"""New accounts with a password for one time."""

import secrets

from django.conf import settings
from django.db import transaction

from accounts.models import User

FIRST_NAME = "admin"
_WORDS = "abcdefghjkmnpqrstuvwxyz23456789"


def one_time_password() -> str:
    """Four groups of five letters and digits that are not mistaken for each other (99 bits)."""
    return random_groups(4)


def random_groups(count: int) -> str:
    """Groups of five letters and digits, 24.8 bits each."""
    return "-".join("".join(secrets.choice(_WORDS) for _ in range(5)) for _ in range(count))


def first_account() -> str | None:
    """Make the account `admin` where there is none at all.

    Returns:
        Its one-time password; None where there are accounts already, or OSTEOLENS_ADMIN_PASSWORD gave one.
    """
    # Several processes may start on an empty database at once.
    with transaction.atomic():
        if User.objects.exists():
            return None
        password = settings.ADMIN_PASSWORD or one_time_password()
        _, created = User.objects.get_or_create(
            username=FIRST_NAME,
            defaults={"is_staff": True, "is_superuser": True, "must_change_password": not settings.ADMIN_PASSWORD},
        )
        if not created:  # another process was faster
            return None
        user = User.objects.get(username=FIRST_NAME)
        user.set_password(password)
        user.save()
    return None if settings.ADMIN_PASSWORD else password
