"""Accounts, what lets them in (sessions, tokens, recovery codes, identities elsewhere), and the audit log."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Self

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.utils import timezone

REVIEW_PERMISSION = "reviews.review"
TOKEN_DAYS, MOST_TOKEN_DAYS = 90, 365
SEEN_EVERY = timedelta(minutes=1)
"""Sessions and tokens note their last use at most so often: each note is a write."""


class User(AbstractUser):
    """Somebody who may log in."""

    _password: str | None  # Django's: a text that was set and is not saved yet
    _stored_password: str | None = None
    must_change_password = models.BooleanField(default=False)
    language = models.CharField(max_length=10, blank=True, help_text="empty: what the browser asks for")

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        """A row as an object, which knows whether its password has changed since."""
        user = super().from_db(*args, **kwargs)
        user._stored_password = user.__dict__.get("password")
        return user

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new password, wherever it is set, and closing the account end every token and session.

        A log-in that only hashes the same password in a newer way ends none: Django forgets the text before it saves.
        """
        locked_out = not self.has_usable_password() and self.password != self._stored_password
        ends = self._password is not None or locked_out or not self.is_active
        with transaction.atomic():
            super().save(*args, **kwargs)
            if ends:
                self.tokens.all().delete()
                self.sessions.all().delete()
        self._stored_password = self.password

    @property
    def can_review(self) -> bool:
        """Whether films that others opened for review may be shown."""
        return self.has_perm(REVIEW_PERMISSION)

    @property
    def role(self) -> str:
        """What an account may do, in a word."""
        return "staff" if self.is_staff else "reviewer" if self.can_review else "member"


class Session(AbstractBaseSession):
    """Session of a browser, with whose it is, so that it can be listed and ended."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")
    agent = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=45, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)


class Token(models.Model):
    """Lets an app act for somebody until it expires; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token {self.name!r} of {self.user_id} from {self.created_at:%Y-%m-%d}"

    @property
    def expired(self) -> bool:
        """Whether it lets nobody in any more."""
        return self.expires_at <= timezone.now()

    @classmethod
    def create(cls, user: User, name: str = "app", days: int = TOKEN_DAYS) -> str:
        """A new token; the text is shown this once."""
        # 256 random bits cannot be guessed, so the digest needs no salt and no slow hash.
        text = secrets.token_urlsafe(32)
        expires_at = timezone.now() + timedelta(days=min(days, MOST_TOKEN_DAYS))
        cls.objects.create(user=user, name=name, digest=digest_of(text), expires_at=expires_at)
        return text

    @classmethod
    def find(cls, text: str) -> "Token | None":
        """The token with this text, of somebody who may log in; its last use is now."""
        now = timezone.now()
        valid = cls.objects.select_related("user").filter(user__is_active=True, expires_at__gt=now)
        token = valid.filter(digest=digest_of(text)).first()
        if token and (token.used_at is None or token.used_at < now - SEEN_EVERY):
            cls.objects.filter(pk=token.pk).update(used_at=now)
        return token


class RecoveryCode(models.Model):
    """Opens the second step of a log-in once, where the device is lost; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class Identity(models.Model):
    """Who an account is at a provider of single sign-on: its subject there, which never changes hands."""

    user = models.ForeignKey(User, models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)
    name = models.CharField(max_length=150, blank=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        """A subject is one account."""

        constraints = (models.UniqueConstraint(fields=["issuer", "subject"], name="identity_once"),)

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class AuditEntry(models.Model):
    """Line of the audit log: person, action, film; it outlives both."""

    at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    user_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=40)
    film_id = models.UUIDField(null=True)
    detail = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=45, blank=True)

    class Meta:
        """The newest first; counted per person and action for the upload limit."""

        indexes = (
            models.Index(fields=["user", "action", "at"], name="audit_user_action"),
            models.Index(fields=["film_id"], name="audit_film"),
            models.Index(fields=["action", "at"], name="audit_action"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.user_name} {self.action} {self.film_id or ''}"


def digest_of(text: str) -> str:
    """SHA-256 of a secret that is random enough to need no salt."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
