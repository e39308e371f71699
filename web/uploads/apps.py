"""The app `uploads`."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Upload pages; rows are those of the app `films`."""

    name = "uploads"
