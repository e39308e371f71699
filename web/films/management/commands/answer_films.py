"""`manage.py answer_films`: answers films that could not be answered when they were uploaded."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from accounts.sessions import SessionStore
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from project import erasing
from project.processes import end_with_parent

from films import answering, archiving, reachable, retention

AT_ONCE = 4
IDLE_SECONDS, AWAY_SECONDS, LOOK_SECONDS = 1.0, 2.0, 5.0
TIDY_SECONDS, ERASE_SECONDS = 3600.0, 60.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Works the queue until it is told to stop; any number of these may run."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--once", action="store_true", help="end as soon as nothing is due")
        parser.add_argument("--child", action="store_true", help="end when the parent process ends")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Ask and store, pause where there is nothing to do or nobody to ask; tidy up every hour."""
        if options["once"]:
            while answering.answer_due(AT_ONCE) == (AT_ONCE, True):
                pass
            while settings.DICOMWEB_URL and archiving.deliver_due(AT_ONCE):
                pass
            return
        if options["child"]:
            end_with_parent()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if settings.DICOMWEB_URL:
            # Beside the readings: an archive that does not answer holds up no film.
            threading.Thread(target=_deliver, args=(stop,), name="deliver", daemon=True).start()
        tidied = erased = looked = 0.0
        while not stop.is_set():
            try:
                if time.monotonic() - tidied > TIDY_SECONDS or not tidied:
                    tidied = time.monotonic()
                    retention.delete_expired()
                    retention.sweep()
                    SessionStore.clear_expired()
                if time.monotonic() - erased > ERASE_SECONDS:
                    erased = time.monotonic()
                    erasing.empty_log()
                if time.monotonic() - looked > LOOK_SECONDS or reachable.away_since():
                    looked = time.monotonic()
                    answering.look_for_server()
                retention.remove_deleted()
                count, reached = answering.answer_due(AT_ONCE)
            except (DatabaseError, OSError):
                logger.exception("the queue could not be worked; going on")
                count, reached = 0, False
            close_old_connections()
            if not reached:
                stop.wait(AWAY_SECONDS)
            elif not count:
                stop.wait(IDLE_SECONDS)


def _deliver(stop: threading.Event) -> None:
    """Send answers to the archive until it is told to stop; a send that is cut off is repeated and doubles nothing."""
    while not stop.is_set():
        try:
            count = archiving.deliver_due(AT_ONCE)
        except (DatabaseError, OSError):
            logger.exception("the archive's queue could not be worked; going on")
            count = 0
        close_old_connections()
        if not count:
            stop.wait(IDLE_SECONDS)
