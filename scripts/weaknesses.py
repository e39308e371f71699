"""Compares the pinned packages with the public database of known weaknesses; `make weaknesses` runs it.

    python scripts/weaknesses.py PIP_AUDIT

Exit status 1 where a package has one. A database that cannot be reached, or that does not know a package, is said and
is no failure: pip-audit itself takes the one for a weakness and the other for the all-clear.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PINS = Path(__file__).parents[1] / "constraints.txt"


def summary(report: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Lines for a person, and whether a package has a known weakness."""
    compared = [package for package in report if "skip_reason" not in package]
    weak = [package for package in compared if package["vulns"]]
    lines = [f"{len(compared)} of {len(report)} packages compared with the database, {len(weak)} with known weaknesses"]
    if not compared:
        lines.append("the database cannot be reached from here, or knows none of them: nothing is said about them")
    for package in weak:
        for weakness in package["vulns"]:
            fixed = ", ".join(weakness["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {weakness['id']}, fixed in {fixed}")
    return lines, bool(weak)


def main(pip_audit: str) -> int:
    """Compare, and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
        command = [pip_audit, "--requirement", str(PINS), *options, "--output", str(report)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.is_file():
            reason = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1]
            print(f"not compared with the database of known weaknesses, which cannot be reached: {reason}")
            return 0
        lines, weak = summary(json.loads(report.read_text())["dependencies"])
    print(*lines, sep="\n")
    return int(weak)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
