"""LitServe: its four steps, in two worker processes.

python litserve_app.py PORT
"""

import sys
from typing import Annotated

import litserve
from fastapi import Body, Response
from reading import answer, open_reader


class Film(litserve.LitAPI):
    """A film's bytes to JSON."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load the model in a worker."""
        self.reader = open_reader()

    def decode_request(self, request: Annotated[bytes, Body(media_type="application/octet-stream")]) -> bytes:
        """The body as it is."""
        return request

    def predict(self, film: bytes) -> bytes:
        """JSON."""
        return answer(self.reader, film)

    def encode_response(self, output: bytes) -> Response:
        """As it is."""
        return Response(output, media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(Film(), accelerator="cpu", workers_per_device=2, timeout=60, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error",
        access_log=False,
    )  # fmt: skip
