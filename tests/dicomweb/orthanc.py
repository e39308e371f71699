"""A real Orthanc as deploy/ sets it up, in a folder and on ports of its own."""

import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from osteolens.serving.ports import free_ports

USER, PASSWORD = "osteolens", "long and secret"
DEPLOY = Path(__file__).parents[2] / "deploy"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def program() -> str:
    """Orthanc's program; without it tests are skipped, in continuous integration they fail."""
    path = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None or not PLUGIN.is_file():
        reason = "Orthanc is not installed: apt-get install orthanc orthanc-dicomweb"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


@dataclass
class Orthanc:
    """A context manager; `stop` and `start` again keep the objects and the ports."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._program = program()
        self.port, self.dicom_port = free_ports(2)
        configuration = json.loads((DEPLOY / "orthanc.json").read_text()) | {
            "StorageDirectory": str(self.folder / "objects"), "IndexDirectory": str(self.folder / "objects"),
            "HttpPort": self.port, "DicomPort": self.dicom_port, "RemoteAccessAllowed": False, **self.settings,
        }  # fmt: skip
        self._configuration = self.folder / "orthanc.json"
        self._configuration.write_text(json.dumps(configuration))
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            auth=(USER, PASSWORD),
            trust_env=False,
            timeout=30,
            verify=False,
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.http.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [self._program, str(self._configuration)]
            environment = os.environ | {"ORTHANC_PASSWORD": PASSWORD}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for _ in range(200):
            try:
                if self.http.get("/dicom-web/studies?limit=1").is_success:
                    return
            except httpx.TransportError:
                pass
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        pytest.fail(f"Orthanc does not answer:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def add(self, films: Iterable[bytes]) -> None:
        for film in films:
            self.http.post("/instances", content=film).raise_for_status()

    def objects(self) -> list[Dataset]:
        """The headers of all objects that it holds."""
        headers = []
        for name in self.http.get("/instances").json():
            file = self.http.get(f"/instances/{name}/file").content
            headers.append(dcmread(io.BytesIO(file), stop_before_pixels=True))
        return headers
