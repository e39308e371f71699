"""Sessions move to a table of their own, so that nobody has to log in again."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations
from django.utils import timezone


def take_sessions_over(apps: Any, _editor: Any) -> None:
    """Take over the sessions that are not over yet; one that cannot be read, or is nobody's, is left behind."""
    people = set(apps.get_model("accounts", "User").objects.values_list("pk", flat=True))
    rows = []
    for old in apps.get_model("sessions", "Session").objects.filter(expire_date__gt=timezone.now()):
        user = SessionStore().decode(old.session_data).get("_auth_user_id", "")
        if user.isdecimal() and int(user) in people:
            fields = {"session_key": old.session_key, "session_data": old.session_data, "expire_date": old.expire_date}
            rows.append(apps.get_model("accounts", "Session")(user_id=int(user), **fields))
    apps.get_model("accounts", "Session").objects.bulk_create(rows)
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_people"),
        ("sessions", "0001_initial"),
    ]

    operations = [migrations.RunPython(take_sessions_over, migrations.RunPython.noop)]
