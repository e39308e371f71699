"""An archive that speaks DICOMweb: films are searched (QIDO-RS) and fetched (WADO-RS), objects stored (STOW-RS).

Messages name the archive's address and a status, never what was searched or what the archive said: both may hold names.
"""

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from requests.auth import AuthBase
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from osteolens.client import DamagedAnswer, is_loopback, server_address
from osteolens.errors import ClientError, RequestRefused, ServerUnreachable, UnreadableImage
from osteolens.films import dicom

PAGE, ATTEMPTS, TIMEOUT = 100, 4, 60.0
_BUSY = frozenset({408, 429, 502, 503, 504})
_RADIOGRAPHS = frozenset({"CR", "DX", "RG"})
_STUDY, _SERIES, _INSTANCE, _CLASS, _MODALITY, _COUNT = (
    "0020000D", "0020000E", "00080018", "00080016", "00080060", "00201208",
)  # fmt: skip
T = TypeVar("T")


class ArchiveRefused(RequestRefused):
    """The archive answered with an error; carries the status."""


@dataclass(frozen=True)
class Place:
    """Where a film is: its three identifiers."""

    study: str
    series: str
    instance: str


class Bearer(AuthBase):
    """Sends a token with each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Archive:
    """A DICOMweb service, for any number of threads.

    Args:
        url: Its root, such as https://pacs.example/dicom-web.
        credentials: Signs the requests.
        ca_file: Certificates that its own is checked against, where the system's do not have it.

    Raises:
        ClientError: The address makes no sense.
    """

    def __init__(self, url: str, credentials: AuthBase | None = None, ca_file: Path | None = None) -> None:
        self.url = server_address(url)
        self._credentials, self._ca_file = credentials, ca_file
        self._threads = threading.local()

    def studies(self, filters: Mapping[str, str]) -> Iterator[tuple[str, int | None]]:
        """Identifier and number of objects of every study of a search; None where the archive does not count."""
        fields = ["NumberOfStudyRelatedInstances"]
        for row in self._rows("search_for_studies", _STUDY, search_filters=dict(filters), fields=fields):
            count = _value(row, _COUNT)
            yield _value(row, _STUDY), int(count) if count.isdigit() else None

    def films(self, study: str) -> list[Place]:
        """The radiographs of a study."""
        rows = self._rows(
            "search_for_instances", _INSTANCE, study_instance_uid=study, fields=["Modality", "SeriesInstanceUID"]
        )
        return [
            Place(study, _value(row, _SERIES), _value(row, _INSTANCE))
            for row in rows
            if is_radiograph(_value(row, _CLASS), _value(row, _MODALITY))
        ]

    def present(self, study: str) -> set[str]:
        """Identifiers of all objects of a study."""
        return {
            _value(row, _INSTANCE) for row in self._rows("search_for_instances", _INSTANCE, study_instance_uid=study)
        }

    def fetch(self, place: Place) -> bytes:
        """A film's file, in the transfer syntax that it is kept in.

        Raises:
            UnreadableImage: What came is no DICOM file.
        """
        stream = io.BytesIO()
        with dicom.unchecked():
            try:
                film = self._call(
                    self._client.retrieve_instance,
                    place.study, place.series, place.instance, media_types=(("application/dicom", "*"),),
                )  # fmt: skip
                dcmwrite(stream, film)
            except (InvalidDicomError, *dicom.FAULTS) as error:
                raise UnreadableImage("the archive's copy is no readable DICOM file", dicom.DAMAGED) from error
        return stream.getvalue()

    def store(self, study: str, objects: Sequence[Dataset]) -> None:
        """Store objects in a study.

        Raises:
            ClientError: The archive did not take all of them.
        """
        with dicom.unchecked():
            response = self._call(self._client.store_instances, objects, study_instance_uid=study)
        failed = response.get("FailedSOPSequence") or []
        if failed:
            reasons = sorted({f"{int(item.get('FailureReason', 0)):04X}" for item in failed})
            raise ClientError(
                f"the archive did not take {len(failed)} of {len(objects)} objects ({', '.join(reasons)})"
            )

    @property
    def _client(self) -> Any:
        """This thread's client: a session of requests is not meant for several."""
        if not hasattr(self._threads, "client"):
            session = requests.Session()
            session.trust_env = not is_loopback(self.url)  # a proxy is never used for this machine
            session.auth = self._credentials
            session.headers["Accept-Encoding"] = "identity"  # packing and unpacking a film takes longer than sending it
            if self._ca_file:
                session.verify = str(self._ca_file)
            client = DICOMwebClient(self.url, session=session, permissive_uid=True, timeout=TIMEOUT)
            client.set_http_retry_params(retry=False)  # ours also retries broken connections
            self._threads.client = client
        return self._threads.client

    def _rows(self, search: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Rows of a search, page by page, until a page brings nothing new: not every archive counts as asked."""
        seen: set[str] = set()
        received = 0
        while True:
            page = self._call(getattr(self._client, search), limit=PAGE, offset=received, **parameters)
            new = {_value(row, key): row for row in page if _value(row, key) not in seen}
            if not new:
                return
            yield from new.values()
            seen |= new.keys()
            received += len(page)

    def _call(self, request: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        tries = Retrying(
            retry=retry_if_exception(_may_succeed_later),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.3, max=5.0),
            reraise=True,
        )
        try:
            return tries(request, *args, **kwargs)
        except requests.HTTPError as error:
            status = _status(error)
            message = f"the archive at {self.url} answered with status {status}"
            raise ArchiveRefused(status, f"http_{status}", message, _HINTS.get(status, "")) from error
        except requests.exceptions.JSONDecodeError as error:
            raise DamagedAnswer(f"{self.url} does not answer as DICOMweb does: expected JSON") from error
        except requests.RequestException as error:
            raise ServerUnreachable(f"no answer from the archive at {self.url} ({type(error).__name__})") from error


_HINTS = {
    401: "give --user with --password-file, or --token-file",
    403: "this account may not do that",
    404: "is the address the root of DICOMweb, such as http://127.0.0.1:8042/dicom-web?",
}


def _status(error: requests.HTTPError) -> int:
    return 0 if error.response is None else error.response.status_code


def _may_succeed_later(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return _status(error) in _BUSY
    final = (requests.exceptions.SSLError, requests.exceptions.JSONDecodeError)
    return isinstance(error, requests.RequestException) and not isinstance(error, final)


def is_radiograph(kind: str, modality: str) -> bool:
    """Whether an object may be a film: CR, DX, or a secondary capture of such a series, as most are other things."""
    return kind in dicom.FILMS and (modality in _RADIOGRAPHS or (not modality and kind != dicom.SECONDARY_CAPTURE))


def _value(row: Mapping[str, Any], tag: str) -> str:
    """First value of an element in DICOM JSON (PS3.18 F.2) as text; empty without one."""
    values = row.get(tag, {}).get("Value") or [""]
    return str(values[0])
