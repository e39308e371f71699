"""`manage.py backup FILE`: database, films and keys in one file, while the app runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.backups import backup
from project.database import BackupError


class Command(BaseCommand):
    """Write a backup that `manage.py restore` can read; it holds films and keys, so keep it as you keep these."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, help="a new file, such as osteolens.tar")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Write it.

        Raises:
            CommandError: It cannot be written.
        """
        try:
            manifest = backup(options["file"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from None
        films = sum(name.endswith("/original") for name in manifest.files)
        self.stdout.write(f"{options['file']}: {films} films, {options['file'].stat().st_size / 1e6:.1f} MB")
