"""Sends films to a running server and returns typed answers: `Client`, and `AsyncClient` for asyncio.

FilmRefused (osteolens.rows)    the picture is not a film that the model can read
ClientError (osteolens.errors)
├── DamagedAnswer              the response is no whole answer: cut off, changed on its way, or not from OsteoLens
└── RequestRefused
    ├── KeyRefused             the key is missing, wrong or expired
    └── ServerBusy             429 or 503; carries the server's Retry-After
"""

from osteolens.client.address import (
    DEFAULT_URL,
    KEY_FILE,
    KEY_FILE_VARIABLE,
    KEY_VARIABLE,
    URL_VARIABLE,
    find_key,
    is_loopback,
    key_source,
    read_key,
    server_address,
)
from osteolens.client.clients import DEFAULT_MODEL, AsyncClient, Client
from osteolens.client.responses import DamagedAnswer, KeyRefused, ServerBusy

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_URL",
    "KEY_FILE",
    "KEY_FILE_VARIABLE",
    "KEY_VARIABLE",
    "URL_VARIABLE",
    "AsyncClient",
    "Client",
    "DamagedAnswer",
    "KeyRefused",
    "ServerBusy",
    "find_key",
    "is_loopback",
    "key_source",
    "read_key",
    "server_address",
]
