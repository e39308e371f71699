"""gunicorn: two processes of four threads; the address comes on the command line (`manage.py serve_web`)."""

from pathlib import Path
from typing import Any

from project.processes import end_with_parent

worker_class = "gthread"
workers = 2
threads = 4
timeout = 60
graceful_timeout = 10
keepalive = 15
loglevel = "warning"
proc_name = "osteolens-web"
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def on_starting(_server: Any) -> None:
    """No web server stays behind when `serve_web` is killed."""
    end_with_parent()
