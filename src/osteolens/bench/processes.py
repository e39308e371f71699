"""The parent's side of a process that measures one backend."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from osteolens.bench.parity import Outputs
from osteolens.bench.plan import Setup
from osteolens.bench.results import Case, Process
from osteolens.errors import BenchmarkError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_END_SECONDS = 5


class CannotRun(BenchmarkError):
    """A backend cannot run here; the message says why."""


class BackendProcess:
    """A loaded backend in a process of its own, which computes only while it answers a request.

    Args:
        setup: What it loads.
        folder: For its files, which are the caller's to delete.

    Raises:
        CannotRun: A package, a compiler or an instruction set is missing.
        BenchmarkError: The model cannot be loaded.
    """

    def __init__(self, setup: Setup, folder: Path) -> None:
        folder.mkdir()
        self.setup, self.folder = setup, folder
        self._log = folder / "errors.txt"
        threads = dict.fromkeys(_THREAD_VARIABLES, str(setup.threads))
        # torch.compile would find its work done by an earlier benchmark, and keep helpers beside us.
        compiling = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled"), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "osteolens.bench.worker"],
                env=os.environ | threads | compiling,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which still has requests to send
            )
        self._number = 0
        try:
            self._send(setup.model_dump_json())
            self._loading = self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def turn(self, case: Case, start: int, calls: int, warm_up: int) -> list[float]:
        """Milliseconds of each call, after some that are not timed; the first is about film `start`."""
        reply = self._ask(do="turn", case=case.model_dump(), start=start, calls=calls, warm_up=warm_up)
        return [float(value) for value in reply["latencies_ms"]]

    def outputs(self, case: Case) -> Outputs:
        """Its answers about every film."""
        path = self.folder / "outputs.npz"
        self._ask(do="outputs", case=case.model_dump(), into=str(path))
        return Outputs.load(path)

    def costs(self) -> Process:
        """What it took to load, and what it takes until now."""
        return Process(**self._loading, **self._ask(do="costs"))

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None  # noqa: S101 - for the type checker
            with suppress(BrokenPipeError):  # it has ended already, with a request unread
                stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, **request: Any) -> dict[str, Any]:
        self._number += 1
        self._send(json.dumps({"number": self._number, **request}))
        while True:
            reply = self._receive()
            if reply.pop("number") == self._number:  # any other answers a request that Ctrl-C interrupted
                return reply

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        reply: dict[str, Any] = json.loads(line)
        if "unavailable" in reply:
            raise CannotRun(reply["unavailable"])
        if "error" in reply:
            raise BenchmarkError(reply["error"])
        return reply

    def _ended(self) -> BenchmarkError:
        self._process.wait()
        printed = self._log.read_text().strip().splitlines()
        last = printed[-1] if printed else "it printed nothing"
        return BenchmarkError(
            f"the process of {self.setup.backend} ended with status {self._process.returncode}: {last}"
        )
