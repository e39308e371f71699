"""Runs a command with a PostgreSQL of its own: `python tests/web/postgres.py COMMAND [ARGUMENT ...]`.

The cluster lies in a temporary folder, listens on a free port of loopback, and is named to the command by DATABASE_URL.
PostgreSQL refuses to run as root: then it runs as the account `postgres` (of Debian's package) or `nobody`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_SECONDS = 30.0
HASTY = ("synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off")
_PLACES = "/usr/lib/postgresql/*/bin"


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`: Debian keeps it out of PATH.

    Raises:
        SystemExit: There is none.
    """
    found = sorted(Path("/").glob(f"{_PLACES[1:]}/initdb"), key=lambda path: path.parts[-3])
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise SystemExit("error: no PostgreSQL server here; on Debian: apt-get install postgresql")
    return found[-1].parent if found else Path(on_path or "").resolve().parent


def unprivileged() -> tuple[int, int] | None:
    """User and group to run as; None where we are not root already."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = names.get("postgres") or names["nobody"]
    return account.pw_uid, account.pw_gid


def main(command: list[str]) -> int:
    """Start a cluster, run the command with DATABASE_URL, stop the cluster; the command's status."""
    if not command:
        raise SystemExit(__doc__)
    binaries, account = find_binaries(), unprivileged()
    with tempfile.TemporaryDirectory(prefix="osteolens-postgres-") as name:
        folder = Path(name)
        identity: dict[str, int] = {}
        if account:
            os.chown(folder, *account)
            identity = {"user": account[0], "group": account[1]}
        data = folder / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "osteolens", "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, extra_groups=[] if account else None, **identity,
        )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (folder / "log").open("wb") as log:
            # Nothing here must survive a crash.
            hasty = [word for option in HASTY for word in ("-c", option)]
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F", *hasty],
                stdout=log, stderr=log, cwd=folder, start_new_session=True,
                extra_groups=[] if account else None, **identity,
            )  # fmt: skip
            try:
                _wait(binaries, port, folder / "log")
                url = f"postgresql://osteolens@127.0.0.1:{port}/postgres"
                return subprocess.run(command, env=os.environ | {"DATABASE_URL": url}).returncode
            finally:
                server.send_signal(signal.SIGINT)  # fast: ends sessions that are open
                server.wait(20)


def _wait(binaries: Path, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run([binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"error: PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
