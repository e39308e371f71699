"""`manage.py restore FILE`: put a backup in the place of this app's data, while the app is stopped."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.backups import restore
from project.database import BackupError


class Command(BaseCommand):
    """Compare all of a backup with its hashes, then put it in place, and bring its database up to this version."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, help="a file of `manage.py backup`")
        parser.add_argument("--force", action="store_true", help="replace the films and accounts that are here")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Restore it.

        Raises:
            CommandError: It cannot be restored; nothing was changed.
        """
        try:
            done = restore(options["file"], force=options["force"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from None
        made = done.manifest
        self.stdout.write(
            f"restored the backup of {made.made_at:%Y-%m-%d %H:%M} UTC (OsteoLens {made.version}): {done.films} films, "
            f"{done.answers} answers, {done.accounts} accounts"
        )
        if done.deleted or done.unknown:
            self.stdout.write(
                f"while it was made, {done.deleted} films were deleted and {done.unknown} came: neither are here"
            )
