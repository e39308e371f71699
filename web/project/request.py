"""Type of the requests that views get."""

from accounts.models import Token, User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request of somebody who is logged in, by session or (in the API) by token."""

    user: User
    auth: Token
    htmx: HtmxDetails
