"""The addresses that a server listens at: those of its configuration, or others that are free."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from osteolens.errors import ServerError

ADDRESSES = ("inference_address", "management_address", "metrics_address")
_OTHER_PORTS = ("grpc_inference_port", "grpc_management_port", "initial_worker_port")


def free_ports(count: int) -> list[int]:
    """Ports on loopback where nothing listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def moved(settings: dict[str, str], port: int | None) -> dict[str, str]:
    """The settings that put a server on ports of its own."""
    if port is None:
        return {}
    if not 0 <= port < 2**16:
        raise ServerError(f"there is no port {port}: 1 to 65535, for example 8080, or 0 for a free one")
    first, *others = free_ports(len(ADDRESSES) + len(_OTHER_PORTS))
    chosen = dict(zip((*ADDRESSES, *_OTHER_PORTS), (port or first, *others), strict=True))
    addresses = {name: urlsplit(settings[name])._replace(netloc=f"127.0.0.1:{chosen[name]}") for name in ADDRESSES}
    return {name: str(chosen[name]) for name in _OTHER_PORTS} | {name: url.geturl() for name, url in addresses.items()}


def check_is_free(address: str) -> None:
    """Make sure that a server can listen at an address.

    Raises:
        ServerError: It is no address, or taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            url = urlsplit(address)
            probe.bind((url.hostname or "", url.port or 80))
        except ValueError as error:
            raise ServerError(f"{address} is no address: {error}; for example http://127.0.0.1:8080") from error
        except OSError as error:
            raise ServerError(f"cannot listen on {address}: {error.strerror}; `--port 0` takes a free port") from error
