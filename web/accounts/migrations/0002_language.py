"""The language of an account's pages."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column."""

    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, help_text="empty: what the browser asks for", max_length=10),
        ),
    ]
