"""How long the web app takes from an upload to the finished page: asks a running app as a browser does."""

import io
import statistics
import time
from typing import Annotated

import httpx
import typer
from PIL import Image

from osteolens.bench.films import make_films


def main(
    password: Annotated[str, typer.Option(help="Password of the account.")],
    name: Annotated[str, typer.Option(help="The account.")] = "admin",
    url: Annotated[str, typer.Option(help="The app.")] = "http://127.0.0.1:8000",
    films: Annotated[int, typer.Option(min=1, help="Made-up 1024 x 1024 JPEGs.")] = 25,
) -> None:
    """Upload films one after the other, and say how long upload and page took."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token(client)}
        if client.post("/accounts/login", data=form).status_code != httpx.codes.FOUND:
            raise typer.BadParameter("nobody is let in with this name and password")
        uploads, pages = [], []
        for number, film in enumerate(make_films(films)):
            headers, files = {"X-CSRFToken": token(client)}, {"file": (f"{number}.jpg", unlike(film))}
            start = time.perf_counter()
            sent = client.post("/upload", files=files, headers=headers)
            uploaded = time.perf_counter()
            client.get(sent.raise_for_status().json()["url"]).raise_for_status()
            uploads.append(uploaded - start)
            pages.append(time.perf_counter() - uploaded)
    say("upload", uploads)
    say("page", pages)
    say("upload to finished page", [sum(both) for both in zip(uploads, pages, strict=True)])


def token(client: httpx.Client) -> str:
    """What the app wants to see with each change."""
    return str(client.get("/session").json()["csrf"])


def unlike(film: bytes) -> bytes:
    """The same film with the time as its comment: the app knows films that it has."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(film)) as picture:
        picture.save(buffer, "JPEG", quality=90, comment=str(time.time_ns()).encode())
    return buffer.getvalue()


def say(what: str, seconds: list[float]) -> None:
    """Median and 90th percentile in milliseconds."""
    ninth = sorted(seconds)[int(0.9 * len(seconds))]
    print(f"{what}: median {1000 * statistics.median(seconds):.0f} ms, 90th percentile {1000 * ninth:.0f} ms")


if __name__ == "__main__":
    typer.run(main)
