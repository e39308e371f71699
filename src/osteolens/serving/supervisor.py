"""Runs a program for as long as its starter lives, and ends all that the program has started.

    python supervisor.py SECONDS [PATH ...] -- COMMAND ...

Standard input is a pipe whose other end the starter holds. It closes when the starter lets go of it or dies, even by
SIGKILL. Then, as when the program ends by itself, the rest of the process group gets SIGTERM, after SECONDS SIGKILL,
and the paths are deleted. Exit status: the program's.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil


def group_members(group: int) -> list[int]:
    """Process ids of the living members of a process group but for its leader, which is the supervisor."""
    members = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group != process.pid:
                members.append(process.pid)
    return members


def end_group(group: int, seconds: float) -> None:
    """SIGTERM for all members of a supervisor's group, and SIGKILL for those that live on for some seconds."""
    deadline = time.monotonic() + seconds
    number = signal.SIGTERM
    while members := group_members(group):
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        number = signal.SIGKILL
        while group_members(group) and time.monotonic() < deadline:
            time.sleep(0.05)


def main() -> int:
    """Run the program of the command line."""
    seconds, *rest = sys.argv[1:]
    end = rest.index("--")
    paths, command = rest[:end], rest[end + 1 :]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_starter() -> None:
        os.read(sys.stdin.fileno(), 1)
        end_group(os.getpid(), float(seconds))

    threading.Thread(target=end_with_starter, daemon=True).start()
    status = child.wait()
    end_group(os.getpid(), float(seconds))
    for path in map(Path, paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
