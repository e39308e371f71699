"""What a server needs of its machine: a private folder, a lock, an environment.

The holder of a folder's lock uses the folder. A lock belongs to an open file, which a supervisor inherits: it is
released when the last process of a server has ended, for whatever reason.
"""

import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from osteolens.errors import ServerError

PREFIX, LOCK = "osteolens-", "lock"
PATIENCE = 15.0
TORCHSERVE = ("org.pytorch.serve.ModelServer", "model_service_worker.py")
"""What is in the command lines of its Java half and of its workers."""
_LONGEST_SOCKET = 103  # bytes that the path of a Unix socket may have: 107 with Linux, 103 with macOS
_LONGEST_NAME = len(f"/{PREFIX}12345678/.ts.sock.65535")
# Settings of TorchServe (TS_CONFIG_FILE answers without a key), Java, Python and proxies in our own environment are
# not meant for a server that has its configuration in a file.
_NEEDED = re.compile(
    r"PATH|HOME|USER|LOGNAME|TZ|(DY)?LD_LIBRARY_PATH|MALLOC_ARENA_MAX|OSTEOLENS_LOG_FORMAT|(OMP|OPENBLAS|MKL|KMP|ORT|CUDA)_\w+"
)


def clean_environment() -> dict[str, str]:
    """The variables that TorchServe and its workers need, with file names in UTF-8 for Java and Python."""
    needed = {name: value for name, value in os.environ.items() if _NEEDED.fullmatch(name)}
    return needed | {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8", "PYTHONUTF8": "1"}


@contextmanager
def private_folder() -> Iterator[tuple[Path, IO[str]]]:
    """A new temporary folder with its lock, after what servers of this user left behind was swept away.

    Raises:
        ServerError: The path of no temporary folder is short enough.
    """
    base = _base()
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        # It gets its name when it is locked, so that no sweep takes a starting server for an ended one.
        draft = folder / "draft"
        with draft.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(folder / LOCK)
            yield folder, lock
    finally:
        with suppress(FileNotFoundError):  # the supervisor has deleted it
            shutil.rmtree(folder)


@contextmanager
def claim(folder: Path) -> Iterator[IO[str]]:
    """The lock of a folder that servers are started in; the file stays, with the process id of its last owner.

    A server whose starter was killed is waited for: its supervisor is ending it.

    Raises:
        ServerError: Another server runs there.
    """
    path = folder / "server.lock"
    deadline = time.monotonic() + PATIENCE
    with path.open("a+") as lock:
        while not _locks(lock):
            owner = path.read_text()
            if time.monotonic() > deadline or (owner.isdigit() and psutil.pid_exists(int(owner))):
                raise ServerError(f"a server (process {owner}) already runs in {folder.parent}: stop it first")
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def _base() -> Path:
    """The system's temporary folder, or /tmp where Java or a socket could not live with its path."""
    usual = tempfile.gettempdir()
    for base in (usual, "/tmp"):  # noqa: S108 - a private folder is made in it
        if base.isascii() and len(base) <= _LONGEST_SOCKET - _LONGEST_NAME and os.access(base, os.W_OK | os.X_OK):
            return Path(base)
    raise ServerError(
        f"the temporary folder {usual} cannot hold sockets: at most {_LONGEST_SOCKET - _LONGEST_NAME} characters, none "
        "but ASCII; set TMPDIR, for example to /tmp"
    )


def _sweep(base: Path) -> None:
    """End and delete servers whose supervisor has ended as well, as after a power cut."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # somebody else sweeps, too
            path = folder / LOCK
            if folder.stat().st_uid == os.getuid() and path.is_file():
                with path.open("a") as lock:
                    if _locks(lock):
                        _end_users(folder)
                        shutil.rmtree(folder)


def _end_users(folder: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if str(folder) in command and any(program in command for program in TORCHSERVE):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _locks(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
