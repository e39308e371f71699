"""Child processes that end together."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

PARENT = "OSTEOLENS_PARENT_PROCESS"
_LOOK_SECONDS = 1.0


def end_with_parent() -> None:
    """End this process by SIGTERM once its parent is gone, however that died, be it before this was called."""
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch() -> None:
        # A process whose parent has ended gets another one: the only sign that SIGKILL leaves, too.
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a child, the leader of its own group, to end; after a while, end the whole group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
