"""Accounts, the tokens of other apps, and the audit log."""

import hashlib
import secrets
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction

REVIEW_PERMISSION = "reviews.review"


class User(AbstractUser):
    """Somebody who may log in."""

    _password: str | None  # Django's: a text that was set and is not saved yet
    must_change_password = models.BooleanField(default=False)
    language = models.CharField(max_length=10, blank=True, help_text="empty: what the browser asks for")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new password, wherever it is set, ends every token with the old one.

        A log-in that only hashes the same password in a newer way ends none: Django forgets the text before it saves.
        """
        ends_tokens = self._password is not None or not self.has_usable_password()
        with transaction.atomic():
            super().save(*args, **kwargs)
            if ends_tokens:
                self.tokens.all().delete()

    @property
    def can_review(self) -> bool:
        """Whether films that others opened for review may be shown."""
        return self.has_perm(REVIEW_PERMISSION)


class Token(models.Model):
    """Lets an app act for somebody; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"token of {self.user_id} from {self.created_at:%Y-%m-%d}"

    @classmethod
    def create(cls, user: User) -> str:
        """A new token; the text is shown this once."""
        # 256 random bits cannot be guessed, so the digest needs no salt and no slow hash.
        text = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=_digest(text))
        return text

    @classmethod
    def find(cls, text: str) -> "Token | None":
        """The token with this text, of somebody who may log in."""
        return cls.objects.select_related("user").filter(digest=_digest(text), user__is_active=True).first()


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
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.user_name} {self.action} {self.film_id or ''}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
