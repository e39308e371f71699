"""Single sign-on by OpenID Connect: authorization code with PKCE, the identity token checked by authlib."""

import re
from functools import cache
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from joserfc.errors import JoseError
from requests import RequestException

from accounts.models import Identity, User

SECONDS = 10
_SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


class SignOnFailed(Exception):
    """The provider cannot be reached, refused, or sent what cannot be believed; the text says which."""


def redirect(request: HttpRequest, back: str) -> HttpResponse:
    """The way to the provider.

    Args:
        request: Request of the browser; its session remembers state, nonce and PKCE's secret.
        back: Address of ours that the provider leads back to.

    Raises:
        SignOnFailed: The provider cannot be reached.
    """
    try:
        response: HttpResponse = _provider().authorize_redirect(request, back)
    except _FAULTS as error:
        raise SignOnFailed(_reason(error)) from error
    return response


def claims_of(request: HttpRequest) -> dict[str, Any]:
    """What the provider's identity token says of whoever came back from there: `sub`, and perhaps names.

    Raises:
        SignOnFailed: They were refused there, or the answer does not belong to this browser's request.
    """
    try:
        token = _provider().authorize_access_token(request)
    except _FAULTS as error:
        raise SignOnFailed(_reason(error)) from error
    claims = dict(token.get("userinfo") or {})
    if not claims.get("sub"):
        raise SignOnFailed("the provider sent no identity token")
    return claims


def identity_of(claims: dict[str, Any]) -> Identity | None:
    """The account with this subject; names and mail addresses decide nothing, as providers hand them on."""
    known = Identity.objects.select_related("user").filter(issuer=settings.OIDC_ISSUER, subject=claims["sub"]).first()
    if known:
        Identity.objects.filter(pk=known.pk).update(used_at=timezone.now())
    return known


def connect(user: User, subject: str, name: str) -> None:
    """Let a subject log in to an account.

    Raises:
        IntegrityError: It is another account's, or this one's already.
    """
    with transaction.atomic():
        Identity.objects.create(user=user, issuer=settings.OIDC_ISSUER, subject=subject, name=name[:150])


def new_account(claims: dict[str, Any]) -> User:
    """An account for somebody who came for the first time: open or closed as the setting says, without a password."""
    name = free_name(name_of(claims))
    user = User(username=name, is_active=settings.OIDC_NEW_ACCOUNTS == "open")
    user.set_unusable_password()
    with transaction.atomic():
        user.save()
        connect(user, claims["sub"], name_of(claims))
    return user


def name_of(claims: dict[str, Any]) -> str:
    """Name to show, as the provider knows it."""
    return str(claims.get("preferred_username") or claims.get("name") or claims["sub"])


def free_name(wish: str) -> str:
    """A user name that nobody has, from one that somebody may have."""
    plain = re.sub(r"[^\w.@+-]+", "-", wish).strip("-")[:130] or "somebody"
    taken = set(User.objects.filter(username__istartswith=plain).values_list("username", flat=True))
    taken = {name.casefold() for name in taken}
    names = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name.casefold() not in taken)


_FAULTS = (AuthlibBaseError, JoseError, RequestException, ValueError)


def _reason(error: Exception) -> str:
    if isinstance(error, RequestException):
        return "the provider cannot be reached"  # its text may hold addresses of the inner network
    return str(getattr(error, "description", "") or error)[:200]


def _provider() -> Any:
    provider = _registered(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    facts = provider.load_server_metadata()
    if facts.get("issuer", "").rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
        raise SignOnFailed("the provider calls itself something other than OSTEOLENS_OIDC_ISSUER")
    # Neither "none" nor a shared secret signs an identity, whatever the provider offers.
    offered = facts.get("id_token_signing_alg_values_supported") or ["RS256"]
    facts["id_token_signing_alg_values_supported"] = [name for name in offered if name in _SIGNATURES]
    return provider


@cache
def _registered(issuer: str, client_id: str, secret: str) -> Any:
    """The provider as a client of authlib, which reads its metadata once."""
    return OAuth().register(
        "provider",
        client_id=client_id,
        client_secret=secret or None,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile",
            "code_challenge_method": "S256",
            "default_timeout": SECONDS,
            "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
        },
    )
