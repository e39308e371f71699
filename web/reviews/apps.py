"""The app `reviews`."""

from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    """Reviews of films."""

    name = "reviews"
