from typing import Any

from django.db import migrations, models

from films.cards import with_evidence
from osteolens.schema import Answer


def lead(apps: Any, _editor: Any) -> None:
    """Let the rows of films lead with what their answers lead with."""
    readings = apps.get_model("xrays", "Reading").objects
    films = apps.get_model("xrays", "Film").objects
    for film in films.filter(state="answered").iterator():
        reading = readings.filter(film=film, model=film.model, state="answered").order_by("-pk").first()
        if reading is None or reading.answer is None:
            continue
        leading = with_evidence(Answer.model_validate(reading.answer)).lead
        films.filter(pk=film.pk).update(
            lead=leading.part,
            headline=leading.headline[:200],
            output=film.label,
            label=(leading.label or leading.headline)[:100],
            probability=leading.probability,
            t_score=leading.t_score.estimate if leading.t_score else None,
            triage=leading.triage or "",
            answered_facts=reading.facts,
        )


class Migration(migrations.Migration):
    # On PostgreSQL a table cannot be changed in the transaction that changes its rows.
    atomic = False
    dependencies = [("xrays", "0005_patients")]

    operations = [
        migrations.AddField("film", "lead", models.CharField(blank=True, max_length=5, default=""), False),
        migrations.AddField("film", "headline", models.CharField(blank=True, max_length=200, default=""), False),
        migrations.AddField("film", "output", models.CharField(blank=True, max_length=100, default=""), False),
        migrations.AddField("film", "answered_facts", models.JSONField(default=dict)),
        migrations.RunPython(lead, migrations.RunPython.noop),
    ]
