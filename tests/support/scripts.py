"""Runs the scripts of export/ and train/ in the process of the test."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch


def run_script(script: Path, *arguments: str | Path) -> CompletedProcess[str]:
    """What `python SCRIPT ARGUMENTS` does and prints, without the seconds in which a new process imports PyTorch."""
    command = [str(script), *map(str, arguments)]
    output, errors = io.StringIO(), io.StringIO()
    status: object = 0
    with patch.object(sys, "argv", command), redirect_stdout(output), redirect_stderr(errors):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int), status
    return CompletedProcess(command, status, output.getvalue(), errors.getvalue())
