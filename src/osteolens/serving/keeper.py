"""Starts a server again that has ended, that answers nobody, or that has a model without a worker."""

import logging
import time

from osteolens.errors import ServerError
from osteolens.serving.torchserve import Server

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two starts: each failed one doubles the pause."""
STEADY_SECONDS = 60.0
"""A server that ran for so long gets the first pause again."""
SILENT_SECONDS = 120.0
"""Time for a server to replace a worker of its own; it is started again when a model has none for longer."""
LOOK_SECONDS = 15.0
"""Each look is a line for each model in the access log."""

logger = logging.getLogger(__name__)


class Keeper:
    """Looks after a running server.

    TorchServe gives a worker up that has failed to load for five minutes, and a Java that hangs ends nothing: so it
    counts whether each model has a worker, and not only whether the process is there.

    Args:
        server: It has been started.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pause = FIRST_PAUSE
        self._started = self._answered = self._looked = time.monotonic()
        self._due: float | None = None

    def watch(self, seconds: float) -> None:
        """Look after the server for a moment; a start takes longer."""
        if self._due is not None:
            time.sleep(min(seconds, max(0.0, self._due - time.monotonic())))
            if time.monotonic() >= self._due:
                self._start()
            return
        try:
            self._server.wait(seconds)
            self._look()
        except ServerError as error:
            if time.monotonic() - self._started > STEADY_SECONDS:
                self._pause = FIRST_PAUSE
            self._server.stop()
            self._plan(error)

    def _look(self) -> None:
        """Ask now and then whether every model is answered, and have keys renewed.

        Raises:
            ServerError: One has not been for too long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        self._server.renew_keys()
        if self._server.answers():
            self._answered = now
        elif now - self._answered > SILENT_SECONDS:
            raise ServerError(f"{self._server.engine} has had a model without a worker for {SILENT_SECONDS:.0f} s")

    def _start(self) -> None:
        try:
            self._server.start()
        except ServerError as error:
            self._plan(error)
            return
        self._due = None
        self._started = self._answered = self._looked = time.monotonic()
        logger.warning("%s answers again", self._server.engine)

    def _plan(self, error: ServerError) -> None:
        """Set the time of the next start."""
        reason = str(error).splitlines()[0].removesuffix(" end with:")
        logger.warning("%s; it is started again in %.0f s", reason, self._pause)
        self._due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
