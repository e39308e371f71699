"""`manage.py serve_web`: the web app with its database, first account and queue worker, until it is told to stop."""

import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from accounts.first import first_account
from accounts.management.commands.first_account import first_account_line
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from uploads import under_way

from project.processes import PARENT, end, end_with_parent

DEFAULT_BIND = "127.0.0.1:8000"
START_SECONDS, STOP_SECONDS = 30.0, 12.0
WEB_PROCESSES = 2
_LOOK_SECONDS = 0.5
_WEB = Path(__file__).parents[3]


class Stop(BaseException):
    """A signal asks to end."""


class Command(BaseCommand):
    """Migrate, make the first account, run `project.server` and `answer_films`, print the address; end all together.

    SIGTERM, SIGINT and SIGHUP end it with status 0. A process that dies is started again.
    """

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--bind", default=DEFAULT_BIND, help=f"address and port; 0 for a free one ({DEFAULT_BIND})")
        parser.add_argument("--child", action="store_true", help="end when the parent process ends")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Run until a signal.

        Raises:
            CommandError: The address is malformed or taken, or the web server does not start.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _stop)
        if options["child"]:
            end_with_parent()
        children: dict[str, subprocess.Popen[bytes]] = {}
        try:
            with _listen(options["bind"]) as listener, under_way.folder_in_use() as lock:
                call_command("migrate", verbosity=0, interactive=False)
                password = first_account()
                if password:
                    self._say(first_account_line(password))
                web = partial(_start, ["-m", "project.server", str(listener.fileno())], listener.fileno(), lock)
                parts = {f"web {number}": web for number in range(WEB_PROCESSES)} | {"queue": _start_worker}
                children |= {name: start() for name, start in parts.items()}
                _wait_until_ready(children["web 0"], _address(listener))
                self._say(f"The app: http://{_address(listener)}/")
                while True:
                    for name, child in children.items():
                        if child.poll() is not None:
                            children[name] = parts[name]()
                    time.sleep(_LOOK_SECONDS)
        except Stop:
            self._say("the app is stopped")
        finally:
            for child in children.values():
                child.terminate()
            for child in children.values():
                end(child, STOP_SECONDS)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _stop(*_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the clean-up is not interrupted
    raise Stop


def _listen(bind: str) -> socket.socket:
    """A listening socket that the web processes inherit: a taken port is found before anything else is done."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise CommandError(f"--bind is {bind!r}; for example --bind {DEFAULT_BIND}")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, int(port)), family=family, backlog=512)
    except OSError as error:
        raise CommandError(f"cannot listen on {bind}: {error.strerror or error}; another --bind helps") from error
    listener.set_inheritable(True)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _start_worker() -> subprocess.Popen[bytes]:
    return _start([str(_WEB / "manage.py"), "answer_films", "--child"])


def _start(arguments: list[str], *descriptors: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(_WEB), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, PARENT: str(os.getpid())}
    command = [sys.executable, *arguments]
    # A group of its own: Ctrl-C in a terminal reaches us alone, and we end our children in order.
    return subprocess.Popen(command, pass_fds=descriptors, start_new_session=True, env=environment)


def _wait_until_ready(web: subprocess.Popen[bytes], address: str) -> None:
    url = f"http://{address.replace('0.0.0.0', '127.0.0.1').replace('[::]', '[::1]')}/readyz"  # noqa: S104
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and web.poll() is None:
        try:
            if httpx.get(url, timeout=2.0, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise CommandError("the web server did not start; its own lines above say why")
