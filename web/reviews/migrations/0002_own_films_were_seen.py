"""Owners' reviews of their own films, called blind although the answer may have been seen, become open ones.

Until now only the film's page and downloads counted as seen, while the reply to the upload, the history and the tables
showed the label too. A review of one's own film stays blind only where it is older than the film's first answer: then
there was nothing to see. Reviews of other people's films stay as they are, as reviewers had no such lists.
"""

from typing import Any

from django.db import migrations
from django.db.models import Exists, F, OuterRef


def open_them(apps: Any, _schema_editor: Any) -> None:
    """Take the mark `blind` from them."""
    readings = apps.get_model("xrays", "Reading").objects
    seen_before = readings.filter(film=OuterRef("film"), state="answered", answered_at__lte=OuterRef("created_at"))
    own = apps.get_model("reviews", "Review").objects.filter(blind=True, reviewer=F("film__owner"))
    own.filter(Exists(seen_before)).update(blind=False)


class Migration(migrations.Migration):
    dependencies = [("reviews", "0001_initial"), ("xrays", "0001_initial")]
    operations = [migrations.RunPython(open_them, migrations.RunPython.noop)]
