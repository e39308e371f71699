"""What is measured: servers that run, and processes that do the same work without one."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from osteolens.bench.load import Load, closed_loop
from osteolens.errors import BenchmarkError
from osteolens.serving.supervisor import group_members

START_SECONDS, STOP_SECONDS = 120.0, 10.0
REQUEST_SECONDS = 60.0
CALLERS = (1, 8, 32)


@dataclass(frozen=True)
class HttpServer:
    """A server on loopback.

    Attributes:
        url: Where films are posted.
        processes: Gives the ids of all its processes.
        headers: Of each request.
        wrap: From a film's bytes to a request's body.
        levels: The numbers of callers it is measured with.
    """

    url: str
    processes: Callable[[], list[int]]
    headers: Mapping[str, str] = field(default_factory=dict)
    wrap: Callable[[bytes], bytes] = bytes
    levels: tuple[int, ...] = CALLERS

    def answer(self, film: bytes) -> bytes:
        """JSON of one answer.

        Raises:
            OSError: There is none.
        """
        request = urllib.request.Request(self.url, self.wrap(film), dict(self.headers))
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with straight.open(request, timeout=REQUEST_SECONDS) as response:
            head = int(response.headers.get("Inference-Header-Content-Length", 0))  # Triton's own, before the answer
            return response.read()[head:]

    def measure(self, level: int, films: Sequence[bytes], seconds: float, warm_up: float) -> Load:
        """A closed loop of `level` callers."""
        bodies = [self.wrap(film) for film in films]
        return closed_loop(self.url, bodies, self.headers, concurrency=level, seconds=seconds, warm_up=warm_up)


@dataclass(frozen=True)
class InProcess:
    """Processes of `servers/in_process.py`; one level, the number of films that are read at the same time."""

    running: tuple[subprocess.Popen[str], ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """How many processes there are."""
        return (len(self.running),)

    def processes(self) -> list[int]:
        """Ids of all of them."""
        return [process.pid for process in self.running]

    def answer(self, film: bytes) -> bytes:  # noqa: ARG002 - they read the films themselves
        """JSON of the first film's answer."""
        return self._ask("answer")[0].encode()

    def measure(self, level: int, films: Sequence[bytes], seconds: float, warm_up: float) -> Load:  # noqa: ARG002
        """All processes at once, each reading one film after another; see `HttpServer.measure`."""
        if warm_up:
            self._ask(str(warm_up))
        parts = [json.loads(line) for line in self._ask(str(seconds))]
        latencies = tuple(value for part in parts for value in part["latencies_ms"])
        mean = sum(part["seconds"] for part in parts) / len(parts)
        return Load(latencies, mean, {200: len(latencies)}, {})

    def _ask(self, line: str) -> list[str]:
        for process in self.running:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in self.running]
        if not all(answers):
            raise BenchmarkError("an in-process reader ended; what it said stands above")
        return answers


Contestant = HttpServer | InProcess


@contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, *, piped: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A program and all it starts, in a session of its own so that Ctrl-C reaches us alone; ended on the way out.

    Args:
        command: Program and arguments.
        environment: All of it.
        log: Gets what the program says; the program's current folder is the log's.
        piped: Keep standard input and output for us.
    """
    pipe = subprocess.PIPE if piped else None
    with log.open("wb") as console:
        process = subprocess.Popen(
            [str(part) for part in command], env=dict(environment), cwd=log.parent, start_new_session=True, text=True,
            stdin=pipe or subprocess.DEVNULL, stdout=pipe or console, stderr=console,
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def family(process: subprocess.Popen[str]) -> list[int]:
    """Ids of a program and of all it started, also where those have left its group (BentoML's have)."""
    with suppress(psutil.NoSuchProcess):
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        return sorted({*children, *group_members(process.pid)})
    return group_members(process.pid)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the program to end all that it started, and after a while end it without asking."""
    with suppress(psutil.NoSuchProcess):
        members = [psutil.Process(pid) for pid in family(process)]
    process.terminate()
    _, alive = psutil.wait_procs(members, timeout=STOP_SECONDS)
    for member in alive:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


def wait_for_answer(server: HttpServer, process: subprocess.Popen[str], film: bytes, log: Path) -> None:
    """Return as soon as a server answers.

    Raises:
        BenchmarkError: It ended, or does not answer in time; with the last lines of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.answer(film)
        except OSError:  # nothing listens yet, or it says that it is not ready
            time.sleep(0.05)
        else:
            return
    lines = log.read_text(errors="replace").splitlines()[-3:]
    raise BenchmarkError(f"it {'does not answer' if process.poll() is None else 'ended'}: {' / '.join(lines)}")
