"""Starts TorchServe as a child process, and stops all of it again.

What is odd about TorchServe stays in this file: it needs a Java, it writes its keys into its current folder,
its Python and Java halves keep process ids and worker sockets in temporary folders, its health check is
content before the workers have loaded, and its Java half outlives the Python one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import psutil

from osteolens.archives import verify_archives
from osteolens.errors import ServerError
from osteolens.java import find_java

CONFIG = Path("config.properties")
LOG_CONFIG = "log4j2.xml"
KEY_FILE = "key_file.json"
START_SECONDS, STOP_SECONDS = 120.0, 10.0
LOG_LINES = 15

_ADDRESSES = ("inference_address", "management_address", "metrics_address")
_OTHER_PORTS = ("grpc_inference_port", "grpc_management_port", "initial_worker_port")
_LOGS = ("console.log", "ts_log.log", "model_log.log")
_JAVA_MAIN = "org.pytorch.serve.ModelServer"
_WORKER_DIED = "Backend worker process died"


class Server:
    """A TorchServe that serves every archive of a model store; a context manager.

    Args:
        config: The configuration file; relative paths in it start at its folder.
        port: Of the inference API: None for all ports as configured, 0 for free ones throughout, a number for
            this one and free ones for the other APIs.
        model_store: Instead of the configured one.
        folder: TorchServe's current folder, which gets `key_file.json` and `logs/`; default: a temporary one.
        timeout: Seconds until every worker must be ready.

    Attributes:
        url: Address of the inference API.
        management_url: Address of the management API.
        models: The names that are served, known once it runs.
        folder: Where the key file and the logs are, known once it runs.
    """

    def __init__(
        self,
        config: Path = CONFIG,
        *,
        port: int | None = None,
        model_store: Path | None = None,
        folder: Path | None = None,
        timeout: float = START_SECONDS,
    ) -> None:
        settings = read_properties(config)
        self.settings = settings | _absolute(settings, config.parent) | _ports(settings, port)
        self.url, self.management_url, _ = (self.settings[name] for name in _ADDRESSES)
        self.model_store = (model_store or config.parent / settings["model_store"]).resolve()
        self.models: tuple[str, ...] = ()
        self.folder = folder.resolve() if folder else None
        self._log_config = config.resolve().with_name(LOG_CONFIG)
        self._timeout = timeout
        self._logs: list[_Log] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def key_file(self) -> Path | None:
        """TorchServe's key file, readable by its owner only; None where tokens are off or nothing runs."""
        if self.folder is None or self.settings.get("disable_token_authorization") == "true":
            return None
        return self.folder / KEY_FILE

    @property
    def inference_key(self) -> str | None:
        """The key that predictions need, as it stands in the key file now."""
        return read_keys(self.key_file)["inference"]["key"] if self.key_file else None

    def start(self) -> None:
        """Verify the archives, start TorchServe and wait until every worker has loaded and warmed up.

        Raises:
            ServerError: No Java, no archive or a changed one, a port in use, or no readiness in time; the
                message ends with the last lines of the logs where there are any.
        """
        self.models = verify_archives(self.model_store)
        java_home = find_java()
        for name in _ADDRESSES:
            _check_is_free(self.settings[name])
        try:
            self._launch(java_home)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def wait(self, timeout: float | None = None) -> None:
        """Return after a time-out in seconds, or never.

        Raises:
            ServerError: TorchServe ended by itself; with the last lines of the logs.
        """
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
                raise self._failure("TorchServe ended")

    def stop(self) -> None:
        """End everything that `start` started: both halves of TorchServe and the workers."""
        process, self._process = self._process, None
        try:
            if process:
                _end_group(process)
        finally:
            self._cleanup.close()

    def processes(self) -> list[int]:
        """Process ids of all that runs: both halves of TorchServe and the workers."""
        return group_members(self._process.pid) if self._process else []

    def _launch(self, java_home: Path) -> None:
        private = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="osteolens-")))
        self.folder = self.folder or private
        _check_folder_is_free(self.folder)
        key_file, logs = self.folder / KEY_FILE, self.folder / "logs"
        key_file.unlink(missing_ok=True)
        self._cleanup.callback(key_file.unlink, missing_ok=True)
        logs.mkdir(exist_ok=True)
        self._logs = [_Log(logs / name) for name in _LOGS]
        settings = self.settings | {"model_store": str(self.model_store)}
        config = private / "config.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [
            sys.executable, "-P", "-m", "ts.model_server", "--start", "--foreground", "--no-config-snapshots",
            "--ts-config", str(config), "--log-config", str(self._log_config),
        ]  # fmt: skip
        environment = os.environ | {"JAVA_HOME": str(java_home), "TMPDIR": str(private), "TEMP": str(private)}
        environment |= {"LOG_LOCATION": str(logs), "METRICS_LOCATION": str(logs)}
        environment.pop("PYTHONPATH", None)  # TorchServe would put it before the archive's own package
        with (logs / _LOGS[0]).open("ab") as console:
            # A session of its own: Ctrl-C in a terminal reaches us alone, and all of it can be ended as a group.
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, umask=0o077, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._timeout
        with httpx.Client(base_url=self.management_url, timeout=2.0) as management:
            while not self._is_ready(management):
                if self._process is None or self._process.poll() is not None:
                    raise self._failure("TorchServe ended before it was ready")
                if any(_WORKER_DIED in log.text() for log in self._logs):
                    raise self._failure("a worker cannot load its model")
                if time.monotonic() > deadline:
                    raise self._failure(f"TorchServe was not ready after {self._timeout:.0f} s")
                time.sleep(0.1)

    def _is_ready(self, management: httpx.Client) -> bool:
        """Whether all workers have loaded; `/ping` says so as soon as they have been started."""
        try:
            if self.key_file:
                management.headers["Authorization"] = f"Bearer {read_keys(self.key_file)['management']['key']}"
            for model in self.models:
                described = management.get(f"/models/{model}")
                workers = described.json()[0]["workers"] if described.is_success else []
                if not workers or any(worker["status"] != "READY" for worker in workers):
                    return False
        except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError):
            return False  # nothing listens yet
        except (FileNotFoundError, ValueError):
            return False  # no key file yet, or half of one
        return True

    def _failure(self, what: str) -> ServerError:
        lines = [line for log in self._logs for line in log.text().splitlines()[-LOG_LINES:]]
        return ServerError("\n".join([f"{what}; the logs in {self.folder}/logs end with:", *lines]))


def read_properties(path: Path) -> dict[str, str]:
    """The settings of a Java properties file (one `name=value` a line, `#` for comments).

    Raises:
        ServerError: There is no such file.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise ServerError(f"no {path}: start in the checkout, or give the path of a config.properties") from None
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def read_keys(key_file: Path) -> dict[str, dict[str, str]]:
    """TorchServe's keys: `inference`, `management` and `API`, each with `key` and (the first two) `expiration time`."""
    keys: dict[str, dict[str, str]] = json.loads(key_file.read_text())
    return keys


def free_ports(count: int) -> list[int]:
    """Ports on loopback where nothing listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _absolute(settings: dict[str, str], folder: Path) -> dict[str, str]:
    """Where the metrics file is, whatever folder TorchServe runs in."""
    name = "metrics_config"
    return {name: str((folder / settings[name]).resolve())} if name in settings else {}


def _ports(settings: dict[str, str], port: int | None) -> dict[str, str]:
    """The settings that put a server on ports of its own."""
    if port is None:
        return {}
    first, *others = free_ports(len(_ADDRESSES) + len(_OTHER_PORTS))
    chosen = dict(zip((*_ADDRESSES, *_OTHER_PORTS), (port or first, *others), strict=True))
    addresses = {name: urlsplit(settings[name])._replace(netloc=f"127.0.0.1:{chosen[name]}") for name in _ADDRESSES}
    return {name: str(chosen[name]) for name in _OTHER_PORTS} | {name: url.geturl() for name, url in addresses.items()}


def _check_is_free(address: str) -> None:
    url = urlsplit(address)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((url.hostname or "", url.port or 80))
        except OSError as error:
            raise ServerError(f"cannot listen on {address}: {error.strerror}; `--port 0` takes a free port") from error


def _check_folder_is_free(folder: Path) -> None:
    """Two servers in one folder would overwrite each other's key file."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if _JAVA_MAIN in (process.info["cmdline"] or ()) and process.info["cwd"] == str(folder):
            raise ServerError(f"a TorchServe (process {process.pid}) already runs in {folder}: stop it first")


def group_members(group: int) -> list[int]:
    """Process ids of the living members of a process group."""
    members = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                members.append(process.pid)
    return members


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    try:
        _signal_group(leader.pid, signal.SIGTERM)
        while group_members(leader.pid) and time.monotonic() < deadline:
            leader.poll()
            time.sleep(0.05)
    finally:
        _signal_group(leader.pid, signal.SIGKILL)
        leader.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


class _Log:
    """What has been appended to a file since now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path.stat().st_size if path.exists() else 0

    def text(self) -> str:
        if not self.path.exists():
            return ""
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return stream.read().decode(errors="replace")
