"""`manage.py delete_old_films`: deletes films older than OSTEOLENS_RETENTION_DAYS, and what dead processes left."""

from typing import Any

from django.core.management.base import BaseCommand

from films import retention


class Command(BaseCommand):
    """The queue's worker does the same every hour."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Delete and say how many."""
        retention.remove_deleted()
        self.stdout.write(f"{retention.delete_expired()} films deleted, {retention.sweep()} left-over folders removed")
