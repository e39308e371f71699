"""`osteolens dicomweb listen`: films that are pushed, from allowed senders, answered once into a real Orthanc."""

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch.fake_server import FakeServer
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.dicomweb.dimse import Peer, Queue, receiving
from osteolens.dicomweb.ledger import Ledger
from osteolens.errors import OsteoLensError, ServerUnreachable
from osteolens.serving.ports import free_ports

from .films import SECRETS, film, uid
from .orthanc import PASSWORD, USER, Orthanc


def send(port: int, films: list[bytes], own: str = "MODALITY", called: str = "OSTEOLENS") -> list[int]:
    """Status of each film; empty without an association."""
    headers = [dcmread(io.BytesIO(data)) for data in films]
    entity = AE(own)
    for kind in {one.SOPClassUID for one in headers}:
        entity.add_requested_context(kind, [one.file_meta.TransferSyntaxUID for one in headers])
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return []
    statuses = [association.send_c_store(one).Status for one in headers]
    association.release()
    return statuses


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def test_only_named_senders_may_send_and_only_films(port: int, tmp_path: Path) -> None:
    queue = Queue(tmp_path / "queue")
    with receiving(queue, "127.0.0.1", port, "OSTEOLENS", ["MODALITY"]):
        assert send(port, [film(1)], own="STRANGER") == []
        assert send(port, [film(1)], called="OTHER") == []
        assert send(port, [film(1, SOPClassUID=CTImageStorage)]) == []
        assert send(port, [film(1), film(2), film(1)]) == [0, 0, 0]
        with pytest.raises(OsteoLensError, match="cannot be listened on"), receiving(queue, "127.0.0.1", port, "A", []):
            pass
    files = sorted(path.name for path in queue.folder.iterdir())
    assert files == [f"{uid(1)}.dcm", f"{uid(2)}.dcm"]
    assert queue.folder.stat().st_mode & 0o77 == 0
    assert dcmread(queue.folder / files[0]).PixelData == dcmread(io.BytesIO(film(1))).PixelData
    with Ledger(tmp_path, "here") as ledger:
        ledger.settle(uid(1))
        assert [waiting for waiting, _ in queue.waiting(ledger)] == [uid(2)]
    assert [path.name for path in queue.folder.iterdir()] == [f"{uid(2)}.dcm"]


def test_a_full_disk_and_an_odd_identifier_are_the_senders_to_keep(port: int, tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("a file where the folder should be")
    with receiving(Queue(tmp_path / "queue"), "127.0.0.1", port, "OSTEOLENS", ["MODALITY"]):
        assert send(port, [film(1)]) == [0xA700]


def test_titles_and_peers_are_refused_by_name(port: int, tmp_path: Path) -> None:
    with (
        pytest.raises(OsteoLensError, match="an AE title has 1 to 16 letters"),
        receiving(Queue(tmp_path), "127.0.0.1", port, "A TITLE THAT IS TOO LONG", []),
    ):
        pass
    for text in ("PACS", "PACS@here", "PACS@here:0", "PACS@here:70000", "@here:104"):
        with pytest.raises(OsteoLensError, match=r"such as PACS@192\.0\.2\.7:104"):
            Peer.parse(text, "OSTEOLENS")
    with pytest.raises(ServerUnreachable, match=r"PACS at 127\.0\.0\.1:"):
        Peer.parse(f"PACS@127.0.0.1:{port}", "OSTEOLENS").store("1.2.3", [dcmread(io.BytesIO(film(1)))])
    done = CliRunner().invoke(app, ["dicomweb", "listen", "--allow", "MODALITY"])
    assert (done.exit_code, "give --url or --send-to" in done.stderr) == (Status.USAGE, True)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.mark.slow
def test_films_are_answered_once_through_a_kill_by_stow_and_by_c_store(
    orthanc: Orthanc, port: int, tmp_path: Path
) -> None:
    def listen(*where: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).parent / "osteolens"), "dicomweb", "listen", "--allow", "MODALITY"]
        command += ["--port", str(port), "--out", str(tmp_path / "ledger"), "--server", server.url, *where]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first == f"OSTEOLENS receives films from MODALITY on 127.0.0.1:{port}\n", first
        return process

    def count() -> Counter[str]:
        return Counter(one.Modality for one in orthanc.objects())

    environment = os.environ | {"OSTEOLENS_DICOMWEB_PASSWORD": PASSWORD}
    with FakeServer() as server:
        process = listen("--url", orthanc.url, "--user", USER)
        assert send(port, [film(number) for number in range(1, 5)] + [film(5, cut=10)]) == [0] * 5
        wait_for(lambda: count()["SR"] >= 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = listen("--url", orthanc.url, "--user", USER)
        dead = tmp_path / "ledger" / "dead-letters.json"
        wait_for(lambda: count() == {"SR": 4, "OT": 8, "DOC": 4} and dead.is_file())
        assert send(port, [film(1)]) == [0]  # pushed again: nothing new
        wait_for(lambda: not list((tmp_path / "ledger" / "queue").iterdir()))
        process.terminate()
        assert process.wait(timeout=30) == Status.INTERRUPTED
        process = listen("--send-to", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}")
        assert send(port, [film(7)]) == [0]
        wait_for(lambda: count() == {"SR": 5, "OT": 10, "DOC": 5})
        process.terminate()
        process.wait(timeout=30)
        assert process.stderr is not None
        printed = process.stderr.read() + dead.read_text()
    assert not [secret for secret in SECRETS if secret in printed]
