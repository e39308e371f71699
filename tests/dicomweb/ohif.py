"""OHIF's built viewer from npm, served in front of an Orthanc."""

import json
import mimetypes
import os
import shutil
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import pytest

from .orthanc import Orthanc

VERSION = "3.13.2"
VIEWER = Path(__file__).parents[2] / "build" / f"ohif-{VERSION}"
UNUSED = ("dist/ort/", "dist/dicom-microscopy-viewer/")  # 120 MB for other films
_ROOTS = dict.fromkeys(("qidoRoot", "wadoRoot", "wadoUriRoot"), "/dicom-web")
_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "orthanc",
    "configuration": {
        "friendlyName": "Orthanc", "name": "orthanc", "imageRendering": "wadors", "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True, "omitQuotationForMultipartRequest": True, "bulkDataURI": {"enabled": True},
        **_ROOTS,
    },
}  # fmt: skip
_CONFIGURATION = {
    "routerBasename": "/", "extensions": [], "modes": [], "showStudyList": True, "maxNumberOfWebWorkers": 1,
    "showCPUFallbackMessage": False, "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "orthanc", "dataSources": [_SOURCE],
}  # fmt: skip


def viewer() -> Path:
    """The folder of the built viewer, fetched from npm once; without npm tests are skipped, or fail in CI."""
    if not VIEWER.is_dir():
        npm = shutil.which("npm")
        if npm is None:
            reason = "npm is not installed, from which OHIF comes: apt-get install npm"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        VIEWER.parent.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=VIEWER.parent) as folder:
            subprocess.run([npm, "pack", "--silent", f"@ohif/app@{VERSION}"], cwd=folder, check=True, timeout=300)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as package:
                wanted = [file for file in package if not any(part in file.name for part in UNUSED)]
                package.extractall(folder, wanted, filter="data")
            (Path(folder) / "package" / "dist").rename(VIEWER)
    return VIEWER


class Ohif:
    """A context manager that serves the viewer, and the archive's DICOMweb under the same address."""

    def __init__(self, orthanc: Orthanc) -> None:
        folder = viewer()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = folder / self.path.split("?")[0].lstrip("/")
                if self.path.startswith("/dicom-web"):
                    answer = orthanc.http.get(self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
                    kind, body = answer.headers["content-type"], answer.content
                    if "json" in kind:  # addresses of bulk data
                        own = f"127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
                        body = body.replace(f"127.0.0.1:{orthanc.port}".encode(), own.encode())
                    self._send(kind, body)
                elif path.name == "app-config.js":
                    self._send("text/javascript", f"window.config = {json.dumps(_CONFIGURATION)};".encode())
                else:  # every other address is a page of the viewer
                    file = path if path.is_file() else folder / "index.html"
                    self._send(mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes())

            def _send(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                headers = {
                    "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
                    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
                }  # fmt: skip
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"
