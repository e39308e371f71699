"""The app `xrays`."""

from django.apps import AppConfig


class XraysConfig(AppConfig):
    """Films and their readings."""

    name = "xrays"
