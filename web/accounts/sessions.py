"""Django's sessions in the database, in rows that say whose they are."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from accounts.audit import ADDRESS, AGENT, address
from accounts.models import SEEN_EVERY, Session

_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"), ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
"""What a browser calls itself, and its name: each also names those below it, which it wants to be taken for."""
_SYSTEMS = (
    ("iPhone", gettext_lazy("an iPhone")), ("iPad", gettext_lazy("an iPad")), ("Android", "Android"),
    ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Mac OS X", gettext_lazy("a Mac")), ("Linux", "Linux"),
)  # fmt: skip


class SessionStore(db.SessionStore):
    """Reads and writes `accounts.models.Session`."""

    # Keep the class's name: Django signs a session's data with it.
    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table."""
        return Session

    def _get_session_from_db(self) -> Session | None:
        self.row = super()._get_session_from_db()  # type: ignore[misc]
        return self.row

    def create_model_instance(self, data: Any) -> Session:
        """The row to be written: whose session it is stands in its data too, where the database cannot look for it."""
        row: Session = super().create_model_instance(data)  # type: ignore[assignment]
        row.user_id = data.get(SESSION_KEY)
        row.agent = data.get(AGENT, "")
        row.address = (self.row and self.row.address) or data.get(ADDRESS, "")
        return row


def note_visit(request: HttpRequest) -> None:
    """Write down when and from where a session was used last, at most once a minute."""
    row = getattr(request.session, "row", None)
    now = timezone.now()
    if row and row.seen_at < now - SEEN_EVERY:
        # Not through the session itself: saving that would put off its end.
        Session.objects.filter(pk=row.pk).update(seen_at=now, address=address(request))


def in_words(agent: str) -> str:
    """Browser and system from what a browser calls itself, such as "Firefox on Windows"."""
    browser = next((name for part, name in _BROWSERS if part in agent), "")
    system = str(next((name for part, name in _SYSTEMS if part in agent), ""))
    if system:
        return gettext("%(browser)s on %(system)s") % {"browser": browser or gettext("A browser"), "system": system}
    return browser or gettext("Something that does not say what it is")
