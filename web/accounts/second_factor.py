"""The second step of a log-in: a code from an authenticator app (TOTP), or a recovery code.

TOTP, its clock's drift, used codes and growing pauses after failures are django-otp's.
"""

from base64 import b32encode

import segno
from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.first import random_groups
from accounts.models import RecoveryCode, User, digest_of

RECOVERY_CODES = 10


def device_of(user: User) -> TOTPDevice | None:
    """The authenticator app that was set up for an account."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def new_device(user: User) -> TOTPDevice:
    """The app that is being set up; it counts once a code of it was typed in."""
    device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=False, defaults={"name": "app"})
    return device


def confirm(user: User, code: str) -> list[str] | None:
    """Take the app that is being set up into use.

    Returns:
        The recovery codes; None where the code is not the app's.
    """
    with transaction.atomic():
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
        if device is None or not device.verify_token(_plain(code)):
            return None
        TOTPDevice.objects.filter(user=user, confirmed=True).delete()
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        return new_recovery_codes(user)


def new_recovery_codes(user: User) -> list[str]:
    """Ten codes instead of those before; they are shown this once."""
    codes = [random_groups(3) for _ in range(RECOVERY_CODES)]  # 74 bits each, so that their digests need no salt
    with transaction.atomic():
        user.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=digest_of(_plain(code))) for code in codes)
    return codes


def remove(user: User) -> bool:
    """Forget app and recovery codes; whether there were any."""
    user.recovery_codes.all().delete()
    deleted, _ = TOTPDevice.objects.filter(user=user).delete()
    return bool(deleted)


def passes(request: HttpRequest, user: User, code: str) -> bool:
    """Whether a code opens the second step.

    A failure counts like a wrong password: after five, axes answers 429 for a quarter of an hour.
    """
    credentials = {"username": user.get_username(), "step": "second factor"}
    if AxesProxyHandler.is_allowed(request, credentials) and _fits(user, _plain(code)):
        return True
    user_login_failed.send(sender=__name__, credentials=credentials, request=request)
    return False


def _fits(user: User, code: str) -> bool:
    """The row is locked, so that of two requests with one code only one gets in."""
    with transaction.atomic():
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is None or not device.verify_is_allowed()[0]:
            return False
        if code.isdecimal():
            return bool(device.verify_token(code))
        deleted, _ = user.recovery_codes.filter(digest=digest_of(code)).delete()
        if deleted:
            device.throttle_reset()
        else:
            device.throttle_increment()
        return bool(deleted)


def picture(device: TOTPDevice) -> str:
    """QR code for the app as a data address; drawn here, as it holds the secret."""
    address: str = segno.make(device.config_url, error="m").svg_data_uri(scale=4, dark="#000", light="#fff")
    return address


def secret(device: TOTPDevice) -> str:
    """The same secret to be typed, in groups of four."""
    text = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()
