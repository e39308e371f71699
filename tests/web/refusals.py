"""What every view of a film has in common."""

from collections.abc import Callable
from uuid import UUID, uuid4

from django.test import Client
from films.models import Film


def check_refusals(client: Client, stranger: Client, address: Callable[[UUID], str], allowed: str, film: Film) -> None:
    """Wrong owner 404, bad id 404, wrong method 405, and without a log-in nothing.

    Args:
        client: The owner's browser.
        stranger: Somebody else's.
        address: Of the view, for a film's id.
        allowed: GET or POST.
        film: Which must be there afterwards.
    """
    good = address(film.id)
    ask = {"GET": lambda browser, url: browser.get(url), "POST": lambda browser, url: browser.post(url)}
    other = "POST" if allowed == "GET" else "GET"
    assert ask[allowed](stranger, good).status_code == 404
    assert ask[allowed](client, address(uuid4())).status_code == 404
    assert ask[allowed](client, good.replace(str(film.id), "not-a-number")).status_code == 404
    assert ask[allowed](client, good.replace(str(film.id), str(film.id) + "%00")).status_code == 404
    assert ask[other](client, good).status_code == 405
    assert ask[allowed](Client(), good).status_code in (302, 401)
    assert Film.objects.filter(pk=film.id).exists()
