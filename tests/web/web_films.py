"""Made-up films as files."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import numpy as np
from accounts.models import User
from django.utils import timezone
from films import retention
from films.models import Film
from PIL import Image
from support.dicom import dataset, save

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABELS = ("normal", "osteopenia", "osteoporosis", "")
ZONES = ("low suspicion", "uncertain", "refer", "")


def film_bytes(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (120, 160), **options: object) -> bytes:
    """A picture with grain of its own; size is width, height."""
    width, height = size
    grain = np.random.default_rng(seed).integers(0, 60, (height, width))
    pixels = (grain + np.linspace(20, 180, width)[None, :]).astype(np.uint8)
    if kind == "DICOM":
        return save(dataset(pixels))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def let_deletions_pass() -> int:
    """Let the time pass in which deletions can be undone, and the queue's worker remove the films; how many."""
    Film.with_deleted.filter(deleted_at__isnull=False).update(deleted_at=timezone.now() - timedelta(minutes=1))
    return retention.remove_deleted()


def make_films(owner: User, count: int) -> None:
    """Rows without files: the n-th is n days old, labels and zones take turns."""
    Film.objects.bulk_create(
        Film(
            owner=owner, sha256=hashlib.sha256(f"{owner}{n}".encode()).hexdigest(), name=f"film{n:05}.png",
            format="PNG", bytes=1000, width=100, height=100, uploaded_at=DAY - timedelta(days=n), label=LABELS[n % 4],
            triage=ZONES[n % 4], label_text=f"patient {n}", note="left" if n % 2 else "right",
            state="answered" if n % 4 < 3 else "waiting",
        )
        for n in range(count)
    )  # fmt: skip
