"""Archives that push over HTTP: films are received by STOW-RS (PS3.18 10.5) and queued as those of C-STORE are.

Whoever sends needs a key. What comes is not answered here: the response says that a film has arrived, or why not.
"""

import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from pydicom.dataset import Dataset
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from osteolens.dicomweb.dimse import Queue, is_uid
from osteolens.errors import InputError, OsteoLensError
from osteolens.films import dicom
from osteolens.films.read import MAX_BYTES
from osteolens.films.sniff import sniff

MAX_BODY = 256 * 1024**2
MOST_AT_ONCE = 4
"""Requests that are taken side by side, each with its whole body in memory."""

_NO_ROOM, _ANOTHER_STUDY, _NOT_UNDERSTOOD, _NO_FILM = 0xA700, 0xA900, 0xC000, 0x0122
"""Failure reasons (PS3.18 I.2.2)."""
_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?', re.IGNORECASE)


class Stored(NamedTuple):
    """What became of an object: class and identifier as far as they are known, and why it was not taken."""

    kind: str
    uid: str
    reason: int | None


def service(queue: Queue, key: str) -> Starlette:
    """The receiver as an ASGI app: `POST /studies` and `POST /studies/UID`.

    Args:
        queue: Where films are kept before the sender is told that they arrived.
        key: What senders have to show, as a bearer token.
    """
    expected = f"Bearer {key}".encode()

    async def store(request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get("authorization", "").encode(), expected):
            return _refusal(401, "key_refused", "a key is needed: Authorization: Bearer KEY")
        kind = request.headers.get("content-type", "")
        boundary = _BOUNDARY.search(kind)
        if not kind.lower().startswith("multipart/related") or boundary is None:
            wanted = 'multipart/related; type="application/dicom"; boundary=B'
            return _refusal(415, "unsupported_type", f"expected {wanted}")
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return _refusal(413, "too_large", f"a request may have {MAX_BODY:,} bytes: send fewer films at a time")
        files = list(_parts(body, boundary[1].encode("latin-1")))
        if not files:
            return _refusal(400, "no_parts", "the body has no part of the type application/dicom")
        study = request.path_params.get("study")
        return _response(await run_in_threadpool(lambda: [keep(queue, file, study) for file in files]))

    return Starlette(routes=[Route(path, store, methods=["POST"]) for path in ("/studies", "/studies/{study}")])


def keep(queue: Queue, file: bytes, study: str | None = None) -> Stored:
    """Queue a film, unless it is none.

    Args:
        queue: Where to.
        file: A DICOM file. One with broken pixels is taken: the dead-letter list will name it.
        study: The study that it has to belong to.
    """
    if len(file) > MAX_BYTES:
        return Stored("", "", _NO_ROOM)
    try:
        if sniff(file) != "DICOM":
            return Stored("", "", _NOT_UNDERSTOOD)
        film = dicom.open_film(file, ("SOPInstanceUID", "StudyInstanceUID"))
    except InputError:
        return Stored("", "", _NOT_UNDERSTOOD)
    kind, uid = str(film.get("SOPClassUID", "")), str(film.get("SOPInstanceUID", ""))
    if not is_uid(uid):
        return Stored("", "", _NOT_UNDERSTOOD)
    if kind not in dicom.FILMS:
        return Stored(kind if is_uid(kind) else "", uid, _NO_FILM)
    if study is not None and study != film.get("StudyInstanceUID"):
        return Stored(kind, uid, _ANOTHER_STUDY)
    try:
        queue.put(uid, file)
    except OSError:
        return Stored(kind, uid, _NO_ROOM)  # the sender keeps it and tries again
    return Stored(kind, uid, None)


@contextmanager
def serving(
    app: Starlette, host: str, port: int, certificate: Path | None = None, certificate_key: Path | None = None
) -> Iterator[None]:
    """Serve the app in a thread while the block runs.

    Raises:
        OsteoLensError: The port is taken, or the certificate cannot be used.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise OsteoLensError(f"{host}:{port} cannot be listened on: {error}; another --stow-port?") from error
    try:
        configuration = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="off", limit_concurrency=MOST_AT_ONCE,
            ssl_certfile=certificate, ssl_keyfile=certificate_key,
        )  # fmt: skip
        configuration.load()
    except OSError as error:
        listening.close()
        raise OsteoLensError(f"the certificate {certificate} cannot be used: {error}") from error
    server = uvicorn.Server(configuration)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        with dicom.unchecked():  # for all threads: the setting is the process's
            yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()


async def _body(request: Request) -> bytes | None:
    """The body; None where it is longer than allowed."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _parts(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """Files in a body of the type multipart/related (RFC 2046 5.1); one that was cut off at the end is left out."""
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank and b"application/dicom" in head.lower().replace(b"application/dicom+", b""):
            yield content


def _response(objects: Sequence[Stored]) -> Response:
    """The store instances response (PS3.18 I.2.1): 200 where all are taken, 202 some, 409 none."""
    content = Dataset()
    content.RetrieveURL = ""
    lists: dict[str, list[Dataset]] = {"ReferencedSOPSequence": [], "FailedSOPSequence": []}
    for each in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = each.kind, each.uid
        if each.reason is None:
            item.RetrieveURL = ""
        else:
            item.FailureReason = each.reason
        lists["ReferencedSOPSequence" if each.reason is None else "FailedSOPSequence"].append(item)
    for name, items in lists.items():
        if items:
            setattr(content, name, items)
    failed = len(lists["FailedSOPSequence"])
    status = 200 if not failed else 202 if failed < len(objects) else 409
    return JSONResponse(content.to_json_dict(), status, media_type="application/dicom+json")


def _refusal(status: int, code: str, message: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
