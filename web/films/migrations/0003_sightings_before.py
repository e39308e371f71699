"""Who had seen which answer before sightings were noted.

The reply to an upload, the history, the lists, tables and the API showed owners the labels of their films without a
trace, so every film that has an answer counts as seen by its owner. Anybody else had only pages and files that the audit
log knows as `view` or `download`; each such line counts, as it did before. A film without an answer has been seen by
nobody: there was nothing to see.
"""

from typing import Any

from django.db import migrations

_AT_ONCE = 1000


def fill(apps: Any, _schema_editor: Any) -> None:
    """Add them; those that are there stay."""
    film, sighting = apps.get_model("xrays", "Film"), apps.get_model("xrays", "Sighting")
    answered = film.objects.exclude(label="")
    entries = apps.get_model("accounts", "AuditEntry").objects.filter(action__in=("view", "download"))
    looked = entries.filter(user__isnull=False, film_id__in=film.objects.values("pk")).values_list("film_id", "user_id")
    pairs = {*answered.values_list("pk", "owner_id"), *looked.distinct()}
    rows = [sighting(film_id=film_id, user_id=user_id) for film_id, user_id in pairs]
    sighting.objects.bulk_create(rows, batch_size=_AT_ONCE, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("xrays", "0002_sighting"), ("accounts", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
