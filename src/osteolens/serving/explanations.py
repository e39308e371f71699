"""Installs what further explanations need, PyTorch above all, while a server already answers."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement

from osteolens.inference.availability import MARKER
from osteolens.places import shipped

EXTRA = "explain"
TYPICAL_SECONDS = 120
"""From the start to the last package on two busy cores; a client is told to wait for what is left of it."""
# The import writes Python's bytecode of some thousand files, and brings them from the disk, before a request waits.
_INSTALL = """\
import subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
if status:
    sys.exit(status)
import osteolens.inference.runtimes.heads
"""


@contextmanager
def installed_meanwhile() -> Iterator[None]:
    """Install the extra `explain` during the block, and say when it is there; nothing happens where it is.

    What is under way when the block ends is stopped; the next call completes it.
    """
    packages = missing_packages()
    if not packages:
        yield
        return
    draft = MARKER.with_suffix(".draft")  # it gets its name when it is written and locked
    with draft.open("w") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        json.dump({"until": time.time() + TYPICAL_SECONDS}, marker)
        marker.flush()
        draft.rename(MARKER)
        print("Explanations other than Grad-CAM are being installed (PyTorch is large).", flush=True)
        installer = subprocess.Popen(
            [sys.executable, "-c", _INSTALL, *install_command(packages)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,  # Ctrl-C reaches this process alone
        )  # fmt: skip
        report = threading.Thread(target=_report, args=(installer, marker.fileno()))
        report.start()
        try:
            yield
        finally:
            if installer.poll() is None:
                os.killpg(installer.pid, signal.SIGTERM)
            report.join()
            MARKER.unlink()


def missing_packages() -> list[str]:
    """Requirements of the extra whose packages are not installed, as `pip install` takes them."""
    wanted = [Requirement(line) for line in requires("osteolens") or ()]
    extra = [wish for wish in wanted if wish.marker and wish.marker.evaluate({"extra": EXTRA})]
    return [f"{wish.name}{wish.specifier}" for wish in extra if not _is_installed(wish.name)]


def install_command(packages: list[str]) -> list[str]:
    """The program that installs into this environment: uv where it is there, else pip; versions as pinned."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable] if uv else pip
    return [*command, "--constraint", str(shipped() / "constraints.txt"), *packages]


def _is_installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def _report(installer: subprocess.Popen[str], lock: int) -> None:
    """Wait for the installer, let workers use what it brought, and say so."""
    started = time.monotonic()
    _, problem = installer.communicate()
    fcntl.flock(lock, fcntl.LOCK_UN)
    if installer.returncode == 0:
        print(f"All explanations are ready ({time.monotonic() - started:.0f} s).", flush=True)
    elif installer.returncode > 0:
        last = problem.strip().splitlines()[-1:] or [f"status {installer.returncode}"]
        print(
            f"Explanations other than Grad-CAM could not be installed: {last[0]}; to try again: "
            f"pip install 'osteolens[{EXTRA}]'",
            flush=True,
        )
