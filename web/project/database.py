"""Copies of the database: by SQLite's backup API, or by PostgreSQL's own programs."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient


class BackupError(Exception):
    """A backup cannot be made or restored; the message says why, and what to do."""


def copy_to(target: Path) -> None:
    """Copy the database as it is at one moment, while others write."""
    if connection.vendor == "sqlite":
        with (
            closing(sqlite3.connect(connection.settings_dict["NAME"])) as here,
            closing(sqlite3.connect(target)) as copy,
        ):
            here.backup(copy)
    else:
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def replace_by(source: Path) -> None:
    """Replace the database by a copy; SQLite's in one transaction."""
    if connection.vendor == "sqlite":
        connection.close()
        with (
            closing(sqlite3.connect(source)) as copy,
            closing(sqlite3.connect(connection.settings_dict["NAME"])) as here,
        ):
            copy.backup(here)
        return
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} CASCADE")
    connection.close()
    _run("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", str(source))


def _run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's on our database."""
    found: Any = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    (_, *where, name), environment = found
    if not shutil.which(program):
        raise BackupError(f"{program} is not installed: on Debian, apt-get install postgresql-client")
    command = [program, *where, "--dbname", name, *arguments]
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True)
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip().splitlines()[-1:]}")
