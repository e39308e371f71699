"""What the server process and a worker say to each other: JSON lines on a socket, and connections with them."""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

_AT_ONCE = 64


class Link:
    """One end of a socket pair.

    Args:
        end: The socket.
        hear: Gets each message, and the descriptors that came with it.
        lose: Called once, when the other end is gone.
    """

    def __init__(
        self, end: socket.socket, hear: Callable[[dict[str, Any], list[int]], None], lose: Callable[[], None]
    ) -> None:
        end.setblocking(False)
        self._end, self._hear, self._lose = end, hear, lose
        self._received = b""
        self._descriptors: list[int] = []
        asyncio.get_running_loop().add_reader(end.fileno(), self._read)

    def send(self, message: dict[str, Any], *descriptors: int) -> bool:
        """Send a message at once; False where the other end is gone or does not listen."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            if socket.send_fds(self._end, [line], descriptors) == len(line):
                return True
        except OSError:
            return False
        self.close()  # what it does not take whole it cannot understand
        return False

    def close(self) -> None:
        """Say no more; the other end notices."""
        asyncio.get_running_loop().remove_reader(self._end.fileno())
        self._end.close()

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, 65536, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors += descriptors
        if not data:
            for descriptor in self._descriptors:
                os.close(descriptor)
            self.close()
            self._lose()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            descriptors, self._descriptors = self._descriptors, []
            self._hear(json.loads(line), descriptors)
