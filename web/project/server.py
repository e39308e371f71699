"""The web server: waitress, with bounds on what slow clients hold.

One loop reads requests and writes answers; a thread gets a request only once it is whole. So whoever sends or reads
slowly holds a connection and never a thread, and a connection has a deadline.
"""

import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from django.conf import settings
from django.template import engines
from django.template.loader import get_template
from django.urls import get_resolver
from django.utils import translation
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from project.connections import Channel
from project.processes import end_with_parent

THREADS = 4
CONNECTIONS, CONNECTIONS_PER_ADDRESS = 512, 64
UNFINISHED_BYTES = 1024**3
"""Limit for all bodies together that are not whole yet."""
_DESCRIPTORS = 4096
_LONGEST_HEAD = 64 * 1024
_LONGEST_ANSWER_IN_LINE = 1024**3
_STOP_SECONDS = 8.0


class Server(TcpWSGIServer):
    """Always takes a new connection: the address that holds the most loses the one that waits the longest."""

    channel_class = Channel
    stops_at = float("inf")

    def handle_accept(self) -> None:
        """Take a connection and make room for the next."""
        super().handle_accept()
        held = Counter(channel.source for channel in self._open())
        # Behind a proxy all connections come from it, and it is the one that waits for slow clients.
        most = CONNECTIONS if settings.BEHIND_TLS else CONNECTIONS_PER_ADDRESS
        if held and (held.total() > CONNECTIONS or max(held.values()) > most):
            self._end_longest_wait(held)

    def maintenance(self, now: float) -> None:
        """End connections whose time is over; waitress calls it once a second."""
        for channel in self._open():
            channel.look(now)
        while True:
            held: Counter[str] = Counter()
            for channel in self._open():
                held[channel.source] += channel.unfinished_bytes
            if held.total() <= UNFINISHED_BYTES or not self._end_longest_wait(held):
                return

    def _open(self) -> list[Channel]:
        return [channel for channel in self.active_channels.values() if not channel.will_close]

    def _end_longest_wait(self, held: "Counter[str]") -> bool:
        source = held.most_common(1)[0][0]
        waiting = [channel for channel in self._open() if channel.source == source and not channel.requests]
        if not waiting:
            return False
        min(waiting, key=lambda channel: channel.waits_since).will_close = True
        return True

    def stop(self, *_: object) -> None:
        """Take no more connections; answer what is under way, for a few seconds."""
        self.accepting = False
        self.stops_at = time.time() + _STOP_SECONDS
        self.pull_trigger()

    def run(self) -> None:
        """Serve until `stop`."""
        while time.time() < self.stops_at and (self.accepting or self._is_busy()):
            self.asyncore.loop(timeout=self.adj.asyncore_loop_timeout, map=self._map, use_poll=True, count=1)

    def _is_busy(self) -> bool:
        return any(channel.requests or channel.total_outbufs_len for channel in self.active_channels.values())


def adjustments() -> Adjustments:
    """Settings of waitress itself."""
    return Adjustments(
        threads=THREADS,
        recv_bytes=64 * 1024,
        ident=None,
        clear_untrusted_proxy_headers=False,  # `settings.BEHIND_TLS` says whether they count
        connection_limit=2 * CONNECTIONS,  # never reached: `Server` makes room
        cleanup_interval=1,
        max_request_header_size=_LONGEST_HEAD,
        max_request_body_size=sys.maxsize,  # `Parser` limits it
        inbuf_overflow=256 * 1024,
        outbuf_high_watermark=_LONGEST_ANSWER_IN_LINE,  # no thread waits for a reader
        asyncore_use_poll=True,
    )


def warm() -> None:
    """Load what Django leaves to the first request, whose visitor would wait for it: views, templates, languages."""
    get_resolver().url_patterns  # noqa: B018  # the views, with all libraries that they use
    for folder in map(Path, engines["django"].template_dirs):
        if folder.is_relative_to(settings.WEB):
            for path in folder.rglob("*.html"):
                get_template(str(path.relative_to(folder)))
    for language, _ in settings.LANGUAGES:
        translation.activate(language)
    translation.deactivate()


def serve(listener: socket.socket) -> None:
    """Serve the app on a listening socket until SIGTERM, or until the parent process is gone."""
    from project.wsgi import application

    end_with_parent()
    warm()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
    tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)  # bodies that do not fit into memory are films
    listener.setblocking(False)
    info = (listener.family, listener.type, listener.proto, listener.getsockname())
    server = Server(application, _sock=listener, adj=adjustments(), sockinfo=info, bind_socket=False)
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server.run()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    serve(socket.socket(fileno=int(sys.argv[1])))
