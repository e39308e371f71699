"""What staff does with accounts."""

from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts.first import one_time_password
from accounts.models import REVIEW_PERMISSION, User


class LastStaff(Exception):
    """Without this account nobody could manage accounts any more."""


def add(name: str, *, staff: bool, reviewer: bool, password: str | None = None) -> tuple[User, str]:
    """A new account.

    Args:
        name: User name.
        staff: Whether it manages accounts and sees the audit log.
        reviewer: Whether it reviews films that others opened for review.
        password: Its password; without one it gets one for one time.

    Returns:
        The account, and its password.

    Raises:
        ValidationError: The name is taken or malformed, or the password too weak.
    """
    text = password or one_time_password()
    user = User(username=name, is_staff=staff, must_change_password=not password)
    UnicodeUsernameValidator()(name)
    validate_password(text, user)
    user.set_password(text)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            if reviewer:
                user.user_permissions.add(review_permission())
    except IntegrityError:
        message = gettext("there is an account %(name)s already") % {"name": repr(name)}
        raise ValidationError(message) from None
    return user, text


def close(user_id: int) -> User:
    """Close an account: its sessions and tokens end at once, its films stay.

    Raises:
        LastStaff: It is the last open one of staff.
    """
    with transaction.atomic():
        user = _locked(user_id, goes=True)
        user.is_active = False
        user.save()
    return user


def reopen(user_id: int) -> User:
    """Open an account again, with the password that it had."""
    with transaction.atomic():
        user = _locked(user_id)
        user.is_active = True
        user.save()
    return user


def set_role(user_id: int, *, staff: bool, reviewer: bool) -> User:
    """Promote or demote.

    Raises:
        LastStaff: It would leave no open account of staff.
    """
    with transaction.atomic():
        user = _locked(user_id, goes=not staff)
        user.is_staff = staff
        user.is_superuser = user.is_superuser and staff
        user.save()
        if reviewer:
            user.user_permissions.add(review_permission())
        else:
            user.user_permissions.remove(review_permission())
    return user


def reset_password(user_id: int) -> tuple[User, str]:
    """A password for one time instead of the one before; sessions and tokens end with that."""
    password = one_time_password()
    with transaction.atomic():
        user = _locked(user_id)
        user.set_password(password)
        user.must_change_password = True
        user.save()
    return user, password


def _locked(user_id: int, *, goes: bool = False) -> User:
    """The account's row, locked with those of staff: two who demote each other at once come one after the other."""
    staff = list(User.objects.select_for_update().filter(is_staff=True, is_active=True).values_list("pk", flat=True))
    if goes and staff == [user_id]:
        raise LastStaff
    return User.objects.select_for_update().get(pk=user_id)


def review_permission() -> Permission:
    """The permission to review films of others; there once the database is migrated."""
    app, codename = REVIEW_PERMISSION.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
