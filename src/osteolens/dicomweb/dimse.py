"""Archives that only push: films are received by C-STORE and queued as files; objects can go to one the same way."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from osteolens.dicomweb.answering import Ask
from osteolens.dicomweb.ledger import Ledger
from osteolens.dicomweb.scoring import Destination, Jobs, turn
from osteolens.errors import ClientError, OsteoLensError, ServerUnreachable, in_words
from osteolens.files import write_bytes
from osteolens.films import dicom

_DONE, _NO_ROOM, _WRONG_IDENTIFIER = 0x0000, 0xA700, 0xA900
_VERIFICATION = "1.2.840.10008.1.1"  # answers a C-ECHO
_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_PEER = re.compile(r"(?P<title>[^@\\]{1,16})@(?P<host>[^:]+):(?P<port>[0-9]{1,5})")


def is_uid(text: str) -> bool:
    """Whether a text is an identifier (PS3.5 9.1), and so a safe name for a file."""
    return _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Queue:
    """Films that were received and wait to be answered, a file each, in a folder that is closed to other users."""

    folder: Path

    def put(self, uid: str, film: bytes) -> None:
        """Keep a film; when this returns it survives our being killed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(self.folder / f"{uid}.dcm", film)

    def waiting(self, ledger: Ledger) -> Iterator[tuple[str, Path]]:
        """Identifier and file of every film that waits; files of settled films are deleted."""
        for file in sorted(self.folder.glob("[0-9]*.dcm")):
            if ledger.is_settled(file.stem):
                file.unlink()
            else:
                yield file.stem, file


@contextmanager
def receiving(queue: Queue, host: str, port: int, title: str, allowed: Sequence[str]) -> Iterator[None]:
    """Receive films for the queue while the block runs.

    Args:
        queue: Where they are kept before the sender is told that they arrived.
        host: Own address; on 127.0.0.1 only this machine can send.
        port: Own port.
        title: Own AE title, which senders must call.
        allowed: AE titles that may send. A title is a name, not a secret: it keeps mistakes out, not attackers.

    Raises:
        OsteoLensError: An AE title is none, or the port is taken.
    """

    def keep(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        if not is_uid(uid):
            return _WRONG_IDENTIFIER
        try:
            queue.put(uid, event.encoded_dataset())
        except OSError:
            return _NO_ROOM  # the sender keeps it and tries again
        return _DONE

    try:
        entity = AE(title)
        entity.require_called_aet, entity.require_calling_aet = True, list(allowed)
        entity.add_supported_context(_VERIFICATION)
        for kind in dicom.FILMS:
            entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
        entity.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    except ValueError as error:
        raise OsteoLensError(f"{error}; an AE title has 1 to 16 letters, such as OSTEOLENS") from error
    except OSError as error:
        raise OsteoLensError(f"{host}:{port} cannot be listened on: {in_words(error)}; another --port?") from error
    try:
        yield
    finally:
        entity.shutdown()


def jobs_of_queue(queue: Queue, ask: Ask, destination: Destination, ledger: Ledger) -> Jobs:
    """The films that wait in a queue."""

    def take(file: Path) -> None:
        turn(file.read_bytes(), ask, destination)

    return lambda: ((uid, partial(take, file)) for uid, file in queue.waiting(ledger))


@dataclass(frozen=True)
class Peer:
    """An archive that takes objects by C-STORE. It is not asked what it has: an object sent again has the same UID."""

    title: str
    host: str
    port: int
    own_title: str

    @classmethod
    def parse(cls, text: str, own_title: str) -> Self:
        """A peer from text such as PACS@192.0.2.7:104.

        Raises:
            OsteoLensError: It is none.
        """
        parts = _PEER.fullmatch(text)
        if parts is None or not 0 < int(parts["port"]) < 65536:
            raise OsteoLensError(f"{text!r} is no peer: AE title, address and port, such as PACS@192.0.2.7:104")
        return cls(parts["title"], parts["host"], int(parts["port"]), own_title)

    def present(self, study: str) -> set[str]:  # noqa: ARG002 - a peer knows nothing
        """Nothing."""
        return set()

    def store(self, study: str, objects: Sequence[Dataset]) -> None:  # noqa: ARG002 - the objects name it
        """Send objects.

        Raises:
            ServerUnreachable: No association.
            ClientError: The peer did not take one of them.
        """
        entity = AE(self.own_title)
        for kind in {one.SOPClassUID for one in objects}:
            entity.add_requested_context(kind, ExplicitVRLittleEndian)
        association = entity.associate(self.host, self.port, ae_title=self.title)
        if not association.is_established:
            raise ServerUnreachable(f"{self.title} at {self.host}:{self.port} gives no association")
        try:
            with dicom.unchecked():
                statuses = {self._status(association, one) for one in objects}
        finally:
            association.release()
        if statuses - {_DONE}:
            codes = ", ".join(f"{status:04X}" for status in sorted(statuses - {_DONE}))
            raise ClientError(f"{self.title} did not take every object ({codes})")

    @staticmethod
    def _status(association: Any, one: Dataset) -> int:
        """Status of a C-STORE; warnings (B000 to BFFF, PS3.4 B.2.3) count as done."""
        try:
            status = association.send_c_store(one).get("Status")
        except (ValueError, RuntimeError) as error:  # no context for its class, or the association has ended
            raise ClientError(f"an object could not be sent ({type(error).__name__})") from error
        if status is None:
            raise ServerUnreachable("the association ended before the object was taken")
        return _DONE if status >> 12 == 0xB else int(status)
