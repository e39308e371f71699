from typing import Any

from django.db import migrations, models
from django.db.models import F


def copy_known(apps: Any, _schema_editor: Any) -> None:
    """Open reviews were asked for the true label, blind ones for what the reviewer sees."""
    apps.get_model("reviews", "Review").objects.filter(blind=False).update(true_label=F("seen_label"))


class Migration(migrations.Migration):
    # On PostgreSQL a table cannot be changed in the transaction that changes its rows.
    atomic = False
    dependencies = [("reviews", "0002_own_films_were_seen")]
    operations = [
        migrations.RenameField("review", "true_label", "seen_label"),
        migrations.AddField("review", "true_label", models.CharField(blank=True, max_length=100, default=""), False),
        migrations.RunPython(copy_known, migrations.RunPython.noop),
    ]
