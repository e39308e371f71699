"""How long the web app's lists take over many films: the history, search, patients, the worklist, the API.

Fills an empty database with made-up films (SQLite in a temporary folder, or where DATABASE_URL leads, as under
`python tests/web/postgres.py python benchmarks/history.py`), and asks the app in this process, without a network. A
request's time is processor time: of this process, and of PostgreSQL's for the connection.
"""

import hashlib
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from accounts.models import User
    from django.test import Client

WEB = Path(__file__).parents[1] / "web"
LABELS, ZONES = ("normal", "osteopenia", "osteoporosis", ""), ("low suspicion", "uncertain", "refer", "")
MODELS = ("knee", "yolov5", "efficientnet")
PER_PATIENT = 4
QUEUED = 20
COLUMNS = ("name", "label", "triage", "t_score", "model")
ADDRESSES = {
    "history": "/films/",
    "history, page 150": "/films/?page=150",
    "history, last page": "/films/?page=99999",
    "search": "/films/?q=patient+77",
    "search without a hit": "/films/?q=nothing+like+this",
    "filter": "/films/?label=osteopenia&triage=uncertain",
    **{f"sorted by {sign}{name}": f"/films/?sort={sign}{name}" for name in COLUMNS for sign in ("", "-")},
    "oldest first": "/films/?sort=oldest",
    "by state": "/films/?sort=state",
    "by patient": "/films/?sort=patient",
    "by patient, page 150": "/films/?sort=patient&page=150",
    "progress": "/films/state",
    **{f"worklist, {view}": f"/worklist/?view={view}" for view in ("new", "refer", "unread", "mine")},
    "API": "/api/films",
    "API, page 150": "/api/films?page=150",
    "API, sorted by name": "/api/films?sort=name",
    "API, worklist": "/api/worklist?view=refer",
}


def main(
    films: Annotated[int, typer.Option(min=100, help="Made-up films.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=3, help="Requests to each address.")] = 15,
    limit: Annotated[float, typer.Option(help="Milliseconds; a median beyond gives exit status 1.")] = 60,
) -> None:
    """Fill a database, ask each address, and print the median milliseconds and the number of queries."""
    with tempfile.TemporaryDirectory(prefix="osteolens-history-") as folder:
        os.environ |= {"OSTEOLENS_DATA": folder, "OSTEOLENS_MODELS": ",".join(MODELS)}
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        sys.path.insert(0, str(WEB))
        import django

        django.setup()
        from accounts.models import Token, User
        from django.conf import settings
        from django.core.management import call_command
        from django.test import Client

        settings.ALLOWED_HOSTS = ["testserver"]
        call_command("migrate", verbosity=0)
        if User.objects.exists():
            raise typer.BadParameter("DATABASE_URL leads to a database that is in use: name an empty one")
        owner = User.objects.create_user("ada")
        fill(owner, films)
        client = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})  # the API takes no session
        client.force_login(owner)
        slow = measure(client, rounds, limit)
    if slow:
        raise typer.Exit(1)


def fill(owner: "User", count: int) -> None:
    """Films with answers of every model, patients, and a few films that wait."""
    from django.db import connection
    from django.utils import timezone
    from films.models import Film, Patient, Reading, Sighting

    now = timezone.now()
    patients = Patient.objects.bulk_create(Patient(owner=owner, name=f"P-{n:05}") for n in range(count // PER_PATIENT))
    rows = Film.objects.bulk_create(
        (
            Film(
                owner=owner, sha256=hashlib.sha256(str(n).encode()).hexdigest(), name=f"film{n:05}.png", format="PNG",
                bytes=1000, width=1000, height=1000, uploaded_at=now - timedelta(minutes=7 * n), label=LABELS[n % 4],
                headline=LABELS[n % 4], triage=ZONES[n % 4], label_text=f"patient {n}" if n % 2 else "",
                note="a note of some length, as people write it" * (n % 3), t_score=-(n * 37 % 500) / 100,
                probability=0.5, model=MODELS[n % 3], model_version="1.0", state="answered" if n % 4 < 3 else "waiting",
                patient=patients[n // PER_PATIENT % len(patients)] if n % 10 else None, side=("left", "right")[n % 2],
                assigned_to=owner if n % 5 == 0 else None, read_at=now if n % 3 == 0 else None,
            )
            for n in range(count)
        ),
        batch_size=500,
    )  # fmt: skip
    Reading.objects.bulk_create(
        (
            Reading(film=film, model=model, state="queued" if n < QUEUED else "answered", asked_at=film.uploaded_at)
            for n, film in enumerate(rows)
            for model in MODELS
        ),
        batch_size=1000,
    )
    Sighting.objects.bulk_create((Sighting(user=owner, film=film) for film in rows), batch_size=1000)
    with connection.cursor() as cursor:
        # As PostgreSQL itself does after a while.
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def measure(client: "Client", rounds: int, limit: float) -> list[str]:
    """Print a row for each address; the names of those that take longer than the limit."""
    from django.db import connection

    slow: list[str] = []
    queries: list[str] = []

    def count(execute, sql, *rest):  # type: ignore[no-untyped-def]  # its types are Django's own
        queries.append(sql)
        return execute(sql, *rest)

    print(f"{connection.vendor}: median of {rounds} requests\n{'':24}{'ms':>6}{'queries':>9}")
    for name, address in ADDRESSES.items():
        client.get(address)  # what is loaded once
        queries.clear()
        with connection.execute_wrapper(count):
            client.get(address)
        times = []
        for _ in range(rounds):
            before = processor_seconds()
            client.get(address)
            times.append(processor_seconds() - before)
        # PostgreSQL's clock ticks a hundred times a second, so its median says nothing: the mean is taken with it.
        average = statistics.median if connection.vendor == "sqlite" else statistics.fmean
        milliseconds = 1000 * average(times)
        print(f"{name:24}{milliseconds:6.1f}{len(queries):9}{'  over the limit' * (milliseconds > limit)}")
        if milliseconds > limit:
            slow.append(name)
    return slow


def processor_seconds() -> float:
    """Processor time of this process, and of PostgreSQL's for its connection, which runs on this machine."""
    from django.db import connection

    seconds = time.process_time()
    if connection.vendor == "postgresql":
        pid = connection.connection.info.backend_pid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


if __name__ == "__main__":
    typer.run(main)
