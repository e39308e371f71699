"""The app `films`."""

from django.apps import AppConfig


class FilmsConfig(AppConfig):
    """Films and their readings."""

    name = "films"
    label = "xrays"  # names the tables, migrations and permissions of databases that are in use
