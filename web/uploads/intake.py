"""Intake: uploaded bytes become a film."""

import hashlib
import math
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from accounts.models import AuditEntry, User
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext
from films import answering, limits, patients, pictures, storage
from films.models import FACTS, Film, Origin
from project.errors import TooMany

from osteolens.errors import InputTooLarge
from osteolens.films.read import Picture, read_bare
from uploads import known
from uploads.known import IfKnown

if TYPE_CHECKING:
    from osteolens.dicomweb import pseudonyms

UPLOAD = "upload"
NAME_LENGTH = 200
_SEPARATORS = re.compile(r"[/\\]")
_WINDOW = timedelta(minutes=1)


class TooManyUploads(TooMany):
    """More films within a minute than one person may send."""

    code = "too_many_uploads"


class Received(NamedTuple):
    """Result of an upload.

    Attributes:
        film: The new film, or the one that was there.
        created: Whether it is new.
        changed: Names of the facts that a film took over that was there.
    """

    film: Film
    created: bool
    changed: list[str]


def check_rate(user: User) -> None:
    """Refuse what exceeds settings.UPLOADS_PER_MINUTE; every attempt counts that the audit log has.

    Raises:
        TooManyUploads: Too many in the last minute.
    """
    now, most = timezone.now(), settings.UPLOADS_PER_MINUTE
    attempts = AuditEntry.objects.filter(user=user, action=UPLOAD, at__gte=now - _WINDOW).order_by("-at")
    # The next film is free as soon as the first of the last `most` ones is a minute old.
    first = attempts.values_list("at", flat=True)[most - 1 : most].first()
    if first:
        wait = max(1, math.ceil((first + _WINDOW - now).total_seconds()))
        raise TooManyUploads(
            gettext("more than %(most)s films in a minute") % {"most": most},
            gettext("wait %(seconds)s s") % {"seconds": wait},
            wait,
        )


def receive(
    owner: User,
    name: str,
    data: bytes,
    facts: Mapping[str, Any],
    if_known: str = IfKnown.ASK,
    on_kept: Callable[[Film], object] = lambda _film: None,
) -> Received:
    """Check and keep a film, and ask every model about it.

    The files are there before the row, and the row comes together with its questions: whenever the process dies, there
    is either a film that will be answered or a folder that `films.retention` sweeps up.

    Args:
        owner: The person who uploads.
        name: File name from the browser.
        data: The file. Of a DICOM film only pixels and facts are kept, not who the patient is.
        facts: Fields of `Film` that the form checked; where one is empty, a DICOM header's own counts.
        if_known: Value of `IfKnown`, for bytes that are there with other facts.
        on_kept: Called in the transaction that keeps a new film: what it writes is there if the film is.

    Raises:
        KnownFilm: The same bytes are there with other facts, and `if_known` is `ask`.
        InputError: It is not a film; the message says what was found.
    """
    if len(data) > settings.MAX_UPLOAD_BYTES:
        hint = f"send one film of at most {settings.MAX_UPLOAD_MB} MB"
        raise InputTooLarge(f"the file has {len(data) / 1e6:.0f} MB", hint)
    sha256 = hashlib.sha256(data).hexdigest()
    copies = known.films_of(owner, sha256)
    film = known.film_meant([copy for copy in copies if copy.deleted_at is None], facts, if_known)
    if film:
        changed = known.take_over(film, facts)
        if changed:
            answering.save_changes(film, changed)
            film.refresh_from_db()
        return Received(film, created=False, changed=changed)
    # The size is known after decoding only, and decoding is what takes the memory.
    with limits.under_way(owner, limits.READ, pixels=None):
        picture, bare = read_bare(data)
    origin = _origin(picture, data)
    facts, data = _with_header(facts, picture, origin), bare
    name_of_patient = facts.pop("patient", "")
    height, width = picture.pixels.shape
    film = Film(
        id=uuid.uuid4(), owner=owner, sha256=sha256, copy=_next(copies), name=plain_name(name),
        format=picture.format, bytes=len(data), width=width, height=height,
        picture_warnings=list(picture.warnings), **facts,
    )  # fmt: skip
    try:
        # The original alone must survive a power cut: the pictures can be made from it again.
        storage.write(storage.original(film.id), data, durable=True)
        storage.write(storage.folder(film.id) / storage.DISPLAY, pictures.display_png(picture.pixels))
        storage.write(storage.folder(film.id) / storage.THUMB, pictures.thumb_jpeg(picture.pixels))
        with transaction.atomic():
            film.patient = patients.named(owner, name_of_patient) or patients.coded(
                owner, origin.patient if origin else ""
            )
            film.save(force_insert=True)
            if origin:
                Origin.objects.create(
                    film=film, study=origin.study, instance=origin.instance, study_day=origin.study_day
                )
            readings = answering.enqueue(film, leased=True)
            on_kept(film)
    except IntegrityError:
        storage.remove(film.id)
        if len(known.films_of(owner, sha256)) == len(copies):
            raise
        # The same bytes came twice at once, and the other request was faster: now they are known.
        return receive(owner, name, data, facts, if_known, on_kept)
    except BaseException:
        storage.remove(film.id)
        raise
    answering.answer_now(film, readings, data)
    film.refresh_from_db()
    return Received(film, created=True, changed=[])


def _origin(picture: Picture, data: bytes) -> "pseudonyms.Origin | None":
    """Whose film it is and where it comes from, behind a key; None unless it is DICOM."""
    if picture.format != "DICOM":
        return None
    from osteolens.dicomweb import pseudonyms  # pydicom is loaded when a DICOM film arrives

    return pseudonyms.origin_of(data, settings.PSEUDONYM_KEY)


def _with_header(facts: Mapping[str, Any], picture: Picture, origin: "pseudonyms.Origin | None") -> dict[str, Any]:
    """The facts of the form, and those of a DICOM header where the form has none."""
    header = {name: getattr(picture.source, name, None) for name in (*FACTS, "side", "view")}
    header["taken_on"] = origin.day if origin else None
    return {**facts, **{name: value for name, value in header.items() if value and not facts.get(name)}}


def _next(copies: list[Film]) -> int:
    """The number of a further film with the same bytes."""
    # Not their count: one in the middle may have been deleted.
    return copies[-1].copy + 1 if copies else 0


def plain_name(name: str) -> str:
    """The last part of a path, without characters that do not show or do not exist."""
    # Browsers write these three so in a form's part (HTML, multipart form data).
    for escape, character in (("%22", '"'), ("%0D", " "), ("%0A", " ")):
        name = name.replace(escape, character)
    last = _SEPARATORS.split(name.encode("utf-8", "replace").decode())[-1]
    shown = "".join(" " if c.isspace() else c for c in last if c.isspace() or unicodedata.category(c)[0] != "C")
    return shown.strip(" .")[-NAME_LENGTH:] or "film"
