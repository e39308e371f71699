from typing import Any

from django.db import migrations, models
from django.db.models import F


def part_facts(apps: Any, _schema_editor: Any) -> None:
    """Blind reviews were asked for what the reviewer sees, open ones for the true label."""
    reviews = apps.get_model("reviews", "Review").objects
    reviews.update(seen_label=F("true_label"))
    reviews.filter(blind=True).update(true_label="")


class Migration(migrations.Migration):
    # On PostgreSQL a table cannot be changed in the transaction that changes its rows.
    atomic = False
    dependencies = [("reviews", "0002_own_films_were_seen")]
    operations = [
        migrations.AddField("review", "seen_label", models.CharField(blank=True, max_length=100, default=""), False),
        migrations.RunPython(part_facts, migrations.RunPython.noop),
    ]
