from django.db import migrations, models

INDEXES = {
    "film_newest": ["owner", "-uploaded_at"],
    "film_by_label": ["owner", "label", "-uploaded_at"],
    "film_by_triage": ["owner", "triage", "-uploaded_at"],
}


class Migration(migrations.Migration):
    """Indexes of the lists leave out deleted films, so that films are counted without being read."""

    dependencies = [("xrays", "0009_history")]

    operations = [
        operation
        for name, fields in INDEXES.items()
        for operation in (
            migrations.RemoveIndex("film", name),
            migrations.AddIndex("film", models.Index(fields=fields, name=name, condition=models.Q(deleted_at=None))),
        )
    ]
