"""Sends thousands of mixed requests to a running server and checks every answer: its status, its content, its id.

    python benchmarks/soak.py --requests 24000 --key-file key_file.json

Films of five formats with and without options, forms, and everything that must be refused: damaged and empty bodies,
pictures that are none, repeated parts, wrong options. The first answer to each kind of request is the reference for all
others. Exit status 0: every answer was right, none came twice, no status was 5xx but 503 with a reason.
"""

import asyncio
import io
import random
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from PIL import Image

from osteolens.client import DEFAULT_MODEL, KEY_FILE, read_key, server_address
from osteolens.console import one_line_errors

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
TRIES = 20


@dataclass(frozen=True)
class Kind:
    """A request, and the status that its answer must have."""

    name: str
    status: int
    content: bytes | None = None
    files: list[tuple[str, tuple[str | None, bytes]]] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def film(seed: int, kind: str) -> bytes:
    """A made-up film, 320 x 240."""
    noise = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:320, 0:240]
    bone = np.exp(-(((columns - 120 + seed) / 40) ** 2)) * (1 - 0.8 * np.exp(-(((rows - 160) / 8) ** 2)))
    pixels = np.clip(20 + 200 * bone + noise.normal(0, 6, bone.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def palette_without_colours() -> bytes:
    """A PNG of type 3 (palette) that has no chunk PLTE."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 240, 320, 8, 3, 0, 0, 0)
    rows = zlib.compress(bytes(320 * 241))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def kinds() -> list[Kind]:
    """What is sent."""
    films = [film(seed, FORMATS[seed % len(FORMATS)]) for seed in range(20)]
    first, second = films[:2]
    data, again = ("data", ("a.jpg", first)), ("data2", ("b.png", second))
    options = {"X-OsteoLens-Age": "63", "X-OsteoLens-Sex": "female", "X-OsteoLens-Target": "all"}
    return [
        *(Kind(f"film {number}", 200, content) for number, content in enumerate(films)),
        Kind("options", 200, first, headers=options),
        Kind("no map", 200, second, headers={"X-OsteoLens-Explain": "none"}),
        Kind("form of two", 200, files=[data, again]),
        Kind("form with an option", 200, files=[data, ("explain", (None, b"none"))]),
        Kind("form with a bad film", 200, files=[data, ("data2", ("b", b"no film"))]),
        Kind("repeated part", 400, files=[data, ("data", ("b.png", second))]),
        Kind("repeated option", 400, files=[data, ("age", (None, b"63")), ("age", (None, b"30"))]),
        Kind("unknown part", 400, files=[data, ("image", ("b.png", second))]),
        Kind("film as an option", 400, files=[data, ("age", ("b.png", second))]),
        Kind("web form", 415, b"film", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        Kind("empty", 400, b""),
        Kind("text", 415, b"some words about a knee"),
        Kind("PDF", 415, b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"),
        Kind("half a JPEG", 400, first[: len(first) // 2]),
        Kind("palette without colours", 400, palette_without_colours()),
        Kind("wrong age", 400, first, headers={"X-OsteoLens-Age": "old"}),
        Kind("unknown header", 400, first, headers={"X-OsteoLens-Foo": "1"}),
    ]


@dataclass
class Account:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    busy: int = 0
    wrong: list[str] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def check(self, kind: Kind, response: httpx.Response) -> None:
        """Note an answer, and what is wrong with it."""
        self.statuses[response.status_code] += 1
        body = response.json()
        rows = body if isinstance(body, list) else [body]
        if response.status_code != kind.status:
            self.wrong.append(
                f"{kind.name}: status {response.status_code} instead of {kind.status}, {response.text[:200]}"
            )
        if self.references.setdefault(kind.name, without_times(rows)) != without_times(rows):
            self.wrong.append(f"{kind.name}: another answer than before")
        for row in rows:
            if "error" not in row and not row["id"].startswith(response.headers["x-request-id"]):
                self.wrong.append(f"{kind.name}: the answer of another request")
        identity = response.headers["x-request-id"]
        if identity in self.ids:
            self.wrong.append(f"{kind.name}: the id {identity} came twice")
        self.ids.add(identity)


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What must be the same whenever the same is sent."""
    return [{name: value for name, value in row.items() if name not in ("id", "timing_ms")} for row in rows]


async def ask(client: httpx.AsyncClient, address: str, kind: Kind, account: Account) -> None:
    """Send one request; again while the server says that it is busy."""
    for attempt in range(TRIES):
        headers = kind.headers if kind.files else {"Content-Type": "application/octet-stream", **kind.headers}
        response = await client.post(address, content=kind.content, files=kind.files, headers=headers)
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or not response.content:
            account.check(kind, response)
            return
        account.busy += 1
        await asyncio.sleep(0.2 * (attempt + 1))
    account.wrong.append(f"{kind.name}: busy {TRIES} times")


async def soak(address: str, key: str | None, requests: int, callers: int, seed: int) -> Account:
    """Send the requests in random order, some at a time."""
    account, choices = Account(), kinds()
    order = choices + random.Random(seed).choices(choices, k=max(0, requests - len(choices)))
    waiting = iter(order)
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    async with httpx.AsyncClient(headers=headers, timeout=120, trust_env=False) as client:

        async def call() -> None:
            for kind in waiting:
                await ask(client, address, kind, account)

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(call())
    return account


@one_line_errors
def main(
    requests: Annotated[int, typer.Option(min=1)] = 24_000,
    callers: Annotated[int, typer.Option(min=1, help="Requests under way.")] = 16,
    url: Annotated[str | None, typer.Option(help="Address of the inference API.")] = None,
    model: str = DEFAULT_MODEL,
    key_file: Path = KEY_FILE,
    seed: int = 0,
) -> None:
    """Soak a server and say what came of it."""
    address, started = f"{server_address(url)}/predictions/{model}", time.monotonic()
    account = asyncio.run(soak(address, read_key(key_file), requests, callers, seed))
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(account.statuses.items()))
    typer.echo(
        f"{account.statuses.total()} answers in {time.monotonic() - started:.0f} s: {statuses}; busy {account.busy}"
    )
    typer.echo(f"wrong: {len(account.wrong)}")
    for line in account.wrong[:20]:
        typer.echo(f"  {line}")
    raise typer.Exit(bool(account.wrong))


if __name__ == "__main__":
    typer.run(main)
