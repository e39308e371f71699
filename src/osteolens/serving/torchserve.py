"""Starts TorchServe as a child process, and stops all of it again; what the other engine shares is here, too.

TorchServe's quirks stay in this file: it needs a Java, writes its keys into its current folder, leaves process ids and
worker sockets in temporary folders, reports itself healthy before its workers have loaded, and its Java half outlives
the Python one. So a supervisor ends all of it when this process stops it or dies.
"""

import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from osteolens.errors import ServerError
from osteolens.serving import supervisor
from osteolens.serving.java import find_java
from osteolens.serving.logs import NAMES as LOG_NAMES
from osteolens.serving.logs import WORKER_DIED, Log, copy_log_config, failure
from osteolens.serving.model_store import verify_archives
from osteolens.serving.ports import ADDRESSES, check_is_free, moved
from osteolens.serving.properties import read_properties, write_properties
from osteolens.serving.surroundings import TORCHSERVE, claim, clean_environment, private_folder

CONFIG = Path("config.properties")
LOG_CONFIG = "log4j2.xml"
KEY_FILE = "key_file.json"
START_SECONDS, STOP_SECONDS = 120.0, 10.0
RENEWED_BEFORE = timedelta(minutes=5)
READY = "READY"


class Server:
    """A TorchServe that serves every archive of a model store; a context manager.

    Args:
        config: The configuration file; relative paths in it start at its folder.
        port: Port of the inference API: None for all ports as configured, 0 for free ones throughout, a number for
            this one and free ones for the other APIs.
        model_store: Replaces the configured one.
        folder: TorchServe's current folder, which gets `key_file.json` and `logs/`; default: a temporary one.
        timeout: Seconds until every worker must be ready.
        tls: Certificate and private key, PEM files, for the inference API; None for plain HTTP.

    Attributes:
        url: Address of the inference API.
        management_url: Address of the management API.
        models: The names that are served, known once it runs.
        folder: Where the key file and the logs are, known once it runs.
    """

    engine = "TorchServe"

    def __init__(
        self,
        config: Path = CONFIG,
        *,
        port: int | None = None,
        model_store: Path | None = None,
        folder: Path | None = None,
        timeout: float = START_SECONDS,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        settings = read_properties(config)
        missing = [name for name in (*ADDRESSES, "model_store") if name not in settings]
        if missing:
            raise ServerError(f"{config} says nothing of {', '.join(missing)}: see config.properties in the checkout")
        self.settings = settings | moved(settings, port)
        if tls:
            self.settings |= {"certificate_file": str(tls[0]), "private_key_file": str(tls[1])}
            self.settings["inference_address"] = self.settings["inference_address"].replace("http:", "https:", 1)
        self.url, self.management_url, _ = (self.settings[name] for name in ADDRESSES)
        self.model_store = (model_store or config.parent / settings["model_store"]).resolve()
        self.models: tuple[str, ...] = ()
        self._own_folder = self.folder = folder.resolve() if folder else None
        self._checkout = config.resolve().parent
        self._timeout = timeout
        self._logs: list[Log] = []
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
        self._check_engine()
        try:
            self._launch()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def answers(self) -> bool:
        """Whether every model has a worker that is ready."""
        return all(READY in states for states in self._worker_states())

    def renew_keys(self) -> None:
        """Have the server write new keys in place of those that expire soon: it would refuse every film then."""
        if self.key_file is None:
            return
        with suppress(FileNotFoundError, ValueError, httpx.TransportError):  # it is starting: its keys are new
            for kind in ("management", "inference"):
                until = datetime.fromisoformat(read_keys(self.key_file)[kind]["expiration time"])
                if until - datetime.now(UTC) < RENEWED_BEFORE:
                    self._ask(f"/token?type={kind}", "API")

    def wait(self, timeout: float | None = None) -> None:
        """Return after a time-out in seconds, or never.

        Raises:
            ServerError: TorchServe ended by itself; with the last lines of the logs.
        """
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
                raise self._failure(f"{self.engine} ended")

    def stop(self) -> None:
        """End everything that `start` started: both halves of TorchServe, the workers and their supervisor."""
        process, self._process = self._process, None
        try:
            if process and process.stdin:
                process.stdin.close()
                process.wait()
                supervisor.end_group(process.pid, STOP_SECONDS)  # where somebody has killed the supervisor
        finally:
            self._cleanup.close()

    def processes(self) -> list[int]:
        """Process ids of all that runs: both halves of TorchServe and the workers."""
        return supervisor.group_members(self._process.pid) if self._process else []

    def _check_engine(self) -> None:
        """Make sure that what the engine needs is installed, and that it can serve these archives.

        Raises:
            ServerError: Something is missing.
        """
        self._java_home = find_java()

    def _command(self, private: Path) -> list[str | Path]:
        """The engine's program and arguments; `private` is its temporary folder, whose settings are written."""
        return [
            sys.executable, "-P", "-m", "ts.model_server", "--start", "--foreground", "--no-config-snapshots",
            "--ts-config", private / CONFIG.name, "--log-config", copy_log_config(self._checkout / LOG_CONFIG, private),
            "--model-store", self.model_store,
        ]  # fmt: skip

    def _environment(self, private: Path, logs: Path) -> dict[str, str]:
        """The engine's environment."""
        folders = {"TMPDIR": str(private), "TEMP": str(private)}
        logging = {"LOG_LOCATION": str(logs), "METRICS_LOCATION": str(logs)}
        return clean_environment() | {"JAVA_HOME": str(self._java_home)} | folders | logging

    def _launch(self) -> None:
        private, private_lock = self._cleanup.enter_context(private_folder())
        self.folder = self._own_folder or private
        key_file, logs = self.folder / KEY_FILE, self.folder / "logs"
        logs.mkdir(exist_ok=True)
        lock = self._cleanup.enter_context(claim(logs))
        _check_folder_is_free(self.folder)
        for name in ADDRESSES:
            check_is_free(self.settings[name])
        key_file.unlink(missing_ok=True)
        self._cleanup.callback(key_file.unlink, missing_ok=True)
        self._logs = [Log(logs / name) for name in LOG_NAMES]
        self._management = self._cleanup.enter_context(httpx.Client(timeout=2.0, trust_env=False))
        self._configure(private)
        command: list[str | Path] = [
            sys.executable, "-P", supervisor.__file__, str(STOP_SECONDS), key_file, private, "--",
            *self._command(private),
        ]  # fmt: skip
        environment = self._environment(private, logs)
        with (logs / LOG_NAMES[0]).open("ab") as console:
            # A session of its own: Ctrl-C in a terminal reaches us alone, and all of it can be ended as a group.
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, umask=0o077, start_new_session=True,
                stdin=subprocess.PIPE, stdout=console, stderr=console, pass_fds=(lock.fileno(), private_lock.fileno()),
            )  # fmt: skip

    def _configure(self, private: Path) -> None:
        """Write the settings; the files that they name are copied, as Java understands few letters in a path."""
        settings = self.settings | {"model_store": str(self.model_store)}
        if name := settings.get("metrics_config"):
            settings["metrics_config"] = str(shutil.copy(self._checkout / name, private))
        write_properties(private / CONFIG.name, settings)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._timeout
        while not all(states and set(states) == {READY} for states in self._worker_states()):
            if self._process is None or self._process.poll() is not None:
                raise self._failure(f"{self.engine} ended before it was ready")
            if any(WORKER_DIED in log.text() for log in self._logs):
                raise self._failure("a worker cannot load its model")
            if time.monotonic() > deadline:
                raise self._failure(f"{self.engine} was not ready after {self._timeout:.0f} s")
            time.sleep(0.1)

    def _worker_states(self) -> list[list[str]]:
        """The state of each worker, by model; of none while nobody says.

        A worker has loaded when it is READY; `/ping` is content as soon as it has been started.
        """
        try:
            described = [self._ask(f"/models/{model}") for model in self.models]
            return [[w["status"] for w in each.json()[0]["workers"]] if each.is_success else [] for each in described]
        except (httpx.TransportError, FileNotFoundError, ValueError):
            return [[]]  # nothing listens yet; no key file yet, or only half of it

    def _ask(self, path: str, key: str = "management") -> httpx.Response:
        headers = {"Authorization": f"Bearer {read_keys(self.key_file)[key]['key']}"} if self.key_file else {}
        return self._management.get(self.management_url + path, headers=headers)

    def _failure(self, what: str) -> ServerError:
        return failure(what, self.folder, self._logs)


def read_keys(key_file: Path) -> dict[str, dict[str, str]]:
    """TorchServe's keys: `inference`, `management` and `API`, each with `key` and (the first two) `expiration time`."""
    keys: dict[str, dict[str, str]] = json.loads(key_file.read_text())
    return keys


def _check_folder_is_free(folder: Path) -> None:
    """Two servers in one folder would overwrite each other's key file."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if TORCHSERVE[0] in (process.info["cmdline"] or ()) and process.info["cwd"] == str(folder):
            raise ServerError(f"a TorchServe (process {process.pid}) already runs in {folder}: stop it first")
