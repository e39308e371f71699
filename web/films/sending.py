"""Files as answers: pictures that a browser may keep but must ask about, and downloads."""

import gzip
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, quote_etag
from project.errors import TooMany, refuse_input
from project.request import Request

from films import limits, storage
from films.models import Film
from osteolens.films.deep import PADDING, read_deep


def picture(request: Request, path: Path, content_type: str) -> HttpResponseBase:
    """A picture that we wrote. The browser asks each time whether it may show it: 304 to its owner, 404 to others.

    A person who asks too often, or for too many at once, gets 429.

    Raises:
        Http404: The file is gone.
    """
    with ExitStack() as places:
        try:
            limits.check_rate(request.user, limits.STORED, settings.PICTURES_PER_MINUTE)
            places.enter_context(limits.under_way(request.user, limits.STORED))
        except TooMany as error:
            return refuse_input(request, error)
        response = _picture(request, path, content_type)
        if isinstance(response, _Picture):
            response.places.enter_context(places.pop_all())  # until it is sent
        return response


class _Picture(FileResponse):
    """A file that counts as under way until it is sent."""

    def __init__(self, stream: BinaryIO, content_type: str) -> None:
        super().__init__(stream, content_type=content_type)
        self.places = ExitStack()

    def close(self) -> None:
        """Free the places; the server calls it when the file is sent or its client gone."""
        self.places.close()
        super().close()


def _picture(request: Request, path: Path, content_type: str) -> HttpResponseBase:
    try:
        stream = path.open("rb")
    except OSError:
        raise Http404("no such picture") from None
    etag = _etag(os.fstat(stream.fileno()))
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        response = _Picture(stream, content_type)
    else:
        stream.close()
    return _to_be_asked(response, etag)


def unless_known(request: Request, path: Path, make: Callable[[bytes], HttpResponse]) -> HttpResponseBase:
    """What is made of a stored file, unless the browser has it already.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    try:
        etag = _etag(path.stat())
    except FileNotFoundError:
        raise storage.Gone("the file is gone") from None
    known: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    return _to_be_asked(known or make(storage.read(path)), etag)


def values(request: Request, film: Film) -> HttpResponseBase:
    """Grey values of a film deeper than 8 bits, for the viewer's window; 204 for other films.

    A file as safetensors has it: length of the header (uint32), header (JSON), values (uint16), all little-endian. It
    counts as drawing: a person who asks too often, or for too many at once, gets 429.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    try:
        limits.check_rate(request.user, limits.DRAWN, settings.DRAWINGS_PER_MINUTE)
        with limits.under_way(request.user, limits.DRAWN, film.width * film.height):
            return unless_known(request, storage.original(film.id), _values)
    except TooMany as error:
        return refuse_input(request, error)


def _values(original: bytes) -> HttpResponse:
    deep = read_deep(original)
    if deep is None:
        return HttpResponse(status=204)
    height, width = deep.stored.shape
    header = {
        "width": width,
        "height": height,
        "offset": deep.offset,
        "step": deep.step,
        "bits": deep.bits,
        "inverted": deep.inverted,
        "padding": PADDING if deep.padded else None,
        "windows": [vars(window) for window in deep.windows],
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)  # so that the values start where a browser can read them in place
    content = len(text).to_bytes(4, "little") + text + deep.stored.astype("<u2").tobytes()
    # The fastest level: it halves what is sent.
    response = HttpResponse(gzip.compress(content, compresslevel=1), content_type="application/octet-stream")
    response["Content-Encoding"] = "gzip"
    return response


def _etag(facts: os.stat_result) -> str:
    """Inode, time and size instead of a hash: for a 304 the file need not be read."""
    return quote_etag(f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}")


def _to_be_asked(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    # Asked for each time: after a log-out or a deletion the browser must not show it from its cache.
    response["Cache-Control"] = "private, no-cache"
    return response


def download(content: bytes, name: str, content_type: str) -> HttpResponse:
    """Bytes that the browser stores and never shows on our address."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    return response
