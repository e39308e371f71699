from django.db import migrations, models

VIEWS = [
    ("AP", "AP, from the front"),
    ("PA", "PA, from behind"),
    ("LL", "LL, lateral"),
    ("RL", "RL, lateral"),
    ("LLO", "LLO, oblique"),
    ("RLO", "RLO, oblique"),
    ("LLD", "LLD, lying on the left"),
    ("RLD", "RLD, lying on the right"),
]


class Migration(migrations.Migration):
    """Films have a view, and are hidden for a while before they are removed."""

    dependencies = [("xrays", "0008_failures")]

    operations = [
        migrations.AddField("film", "deleted_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "film", "view", models.CharField(blank=True, choices=VIEWS, default="", max_length=3), False
        ),
        migrations.AddIndex(
            "film",
            models.Index(fields=["deleted_at"], name="film_deleted", condition=models.Q(deleted_at__isnull=False)),
        ),
        migrations.AddIndex("reading", models.Index(fields=["asked_at"], name="reading_asked")),
    ]
