"""Files as answers: pictures that a browser may keep but must ask about, and downloads."""

import os
from pathlib import Path

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, quote_etag


def picture(request: HttpRequest, path: Path, content_type: str) -> HttpResponseBase:
    """A picture that we wrote. The browser asks each time whether it may show it: 304 to its owner, 404 to others.

    Raises:
        Http404: The file is gone.
    """
    try:
        stream = path.open("rb")
    except OSError:
        raise Http404("no such picture") from None
    facts = os.fstat(stream.fileno())
    etag = quote_etag(f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}")
    response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if response is None:
        response = FileResponse(stream, content_type=content_type)
    else:
        stream.close()
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def download(content: bytes, name: str, content_type: str) -> HttpResponse:
    """Bytes that the browser stores and never shows on our address."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    return response
