"""The app `uploads`."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Its pages; what is uploaded becomes a row of the app `films`."""

    name = "uploads"
