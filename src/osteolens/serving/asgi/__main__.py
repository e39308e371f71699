"""The server process: `python -m osteolens.serving.asgi PRIVATE_FOLDER KEY_FILE LOGS`.

`osteolens.serving.asgi.server` starts it under a supervisor, with its settings in the private folder. It listens when
all workers are ready, and hands connections to them. SIGTERM lets them finish what they have.
"""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from osteolens.errors import ServerError
from osteolens.files import write_text
from osteolens.serving.asgi.access import make_room
from osteolens.serving.asgi.archives import unpack
from osteolens.serving.asgi.keys import Keys
from osteolens.serving.asgi.management import Management, metrics_app
from osteolens.serving.asgi.metrics import Metrics
from osteolens.serving.asgi.worker import SETTINGS, Listener, log_to_stderr
from osteolens.serving.asgi.workers import WorkerError, Workers
from osteolens.serving.properties import read_properties

_LOOK_SECONDS = 10.0
_ADDRESSES = ("inference_address", "management_address", "metrics_address")


def main() -> int:
    """Serve until SIGTERM."""
    private, key_file, logs = map(Path, sys.argv[1:])
    log_to_stderr()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(read_properties(private / "config.properties"), private, key_file, logs))
    except (ServerError, WorkerError) as error:
        print(f"{type(error).__module__}.{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(settings: dict[str, str], private: Path, key_file: Path, logs: Path) -> None:
    """Load, listen, and stop when told to.

    Raises:
        ServerError: An address or an archive cannot be used.
        WorkerError: The workers cannot load the models.
    """
    films, management, metrics = (bind(settings[name]) for name in _ADDRESSES)
    archives = sorted(Path(settings["model_store"]).glob("*.mar"))
    models = [unpack(archive, private / "models", settings) for archive in archives]
    count = int(settings["default_workers_per_model"])
    for_workers = {
        "models": {model.name: model._asdict() for model in models},
        "room": -(-int(settings["job_queue_size"]) // count),
        "largest": int(settings["max_request_size"]),
        "metrics_config": settings["metrics_config"],
        "access_log": str(logs / "access_log.log"),
        "tls": tls_of(settings),
    }
    write_text(private / SETTINGS, json.dumps(for_workers))
    off = settings.get("disable_token_authorization") == "true"
    keys = Keys(None if off else key_file, float(settings["token_expiration_min"]))
    workers = Workers(private, count, max(model.startup_timeout for model in models), lambda: keys.inference)
    await workers.start()
    servers = [
        (Listener(Management(models, workers, keys).app()), management),
        (Listener(metrics_app(Metrics(Path(settings["metrics_config"])), workers)), metrics),
    ]
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with asyncio.TaskGroup() as group:
        endless = [group.create_task(workers.serve(films)), group.create_task(rotate(logs / "access_log.log", workers))]
        for server, bound in servers:
            group.create_task(server.serve([bound]))
        await stopped.wait()
        for task in endless:
            task.cancel()
        films.close()
        await workers.close()
        for server, _ in servers:
            server.stop()


def tls_of(settings: dict[str, str]) -> tuple[str, str] | None:
    """Certificate and private key of an https inference_address.

    Raises:
        ServerError: The settings do not name them.
    """
    if urlsplit(settings["inference_address"]).scheme != "https":
        return None
    try:
        return settings["certificate_file"], settings["private_key_file"]
    except KeyError as error:
        raise ServerError(f"the inference_address is https, but there is no {error.args[0]}") from error


def bind(address: str) -> socket.socket:
    """A socket at an address, not yet listening.

    Raises:
        ServerError: It is taken, or none of this machine's.
    """
    url = urlsplit(address)
    host, port = url.hostname or "", url.port or 80
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        raise ServerError(f"cannot listen on {address}: {error.strerror}") from error
    return bound


async def rotate(log: Path, workers: Workers) -> None:
    """Keep the access log small."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if make_room(log):
            await workers.ask("log")


if __name__ == "__main__":
    sys.exit(main())
