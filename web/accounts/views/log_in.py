"""Log-in in one step or two, log-out, and single sign-on."""

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from project.request import Request

from accounts import audit, second_factor, sign_on
from accounts.forms import CodeForm, LogInForm
from accounts.models import User

PENDING, OFFERED, NEXT = "first_step", "identity_offered", "after_sign_on"
PATIENCE = timedelta(minutes=10)
"""Time between the two steps of a log-in."""
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class LogIn(LoginView):
    """The log-in page."""

    template_name = "accounts/login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True
    http_method_names = ("get", "post", "head", "options")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the name of the provider of single sign-on, if there is one."""
        return super().get_context_data(**kwargs) | {"sign_on": settings.OIDC_ISSUER and settings.OIDC_NAME}

    def form_valid(self, form: Any) -> HttpResponse:
        """Name and password are right: let in, or ask for a code."""
        return enter(self.request, form.get_user(), "password", self.get_success_url())


def enter(request: HttpRequest, user: User, how: str, where: str) -> HttpResponse:
    """Log somebody in who showed who they are, or ask for the second step where one was set up."""
    if second_factor.device_of(user) is None:
        return _let_in(request, user, how, where)
    # Whoever planted this browser's session before does not share the second step.
    request.session.cycle_key()
    request.session[PENDING] = {
        "user": user.pk, "password": user.get_session_auth_hash(), "how": how, "where": where,
        "at": timezone.now().timestamp(),
    }  # fmt: skip
    return redirect("accounts:code")


def _let_in(request: HttpRequest, user: User, how: str, where: str, *, second: bool = False) -> HttpResponse:
    request.session.pop(PENDING, None)
    request.logged_in_by = f"{how} and code" if second else how  # type: ignore[attr-defined]  # for the audit log
    login(request, user, backend=_BACKEND)
    request.session["second_factor"] = second
    request.session["signed_on"] = how != "password"
    return redirect(where)


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step."""
    pending = request.session.get(PENDING, {})
    user = _halfway_in(pending)
    if user is None:
        request.session.pop(PENDING, None)
        return redirect("accounts:login")
    form = CodeForm(request.POST or None)
    if form.is_valid():
        if second_factor.passes(request, user, form.cleaned_data["code"]):
            return _let_in(request, user, pending["how"], pending["where"], second=True)
        form.add_error("code", gettext("This code is wrong or was used already. Wait a little and type the next one."))
    return render(request, "accounts/code.html", {"form": form}, status=400 if form.is_bound else 200)


def _halfway_in(pending: dict[str, Any]) -> User | None:
    """Who took the first step, if that still counts: not for long, and not with a password that has changed since."""
    user = User.objects.filter(pk=pending.get("user", 0), is_active=True).first()
    if user is None or timezone.now().timestamp() - pending["at"] > PATIENCE.total_seconds():
        return None
    return user if secrets.compare_digest(pending["password"], user.get_session_auth_hash()) else None


class LogOut(LogoutView):
    """Ends the session and empties the browser's cache of this site."""

    http_method_names = ("post", "options")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Log out, and tell the browser to empty its cache."""
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"cache"'
        return response


@login_not_required
@require_safe
def start_sign_on(request: HttpRequest) -> HttpResponse:
    """The way to the provider of single sign-on."""
    if not settings.OIDC_ISSUER:
        raise Http404
    where = request.GET.get("next", "")
    request.session[NEXT] = where if url_has_allowed_host_and_scheme(where, {request.get_host()}) else ""
    try:
        return sign_on.redirect(request, request.build_absolute_uri(reverse("accounts:signed_on")))
    except sign_on.SignOnFailed as error:
        return _refused(request, str(error))


@login_not_required
@require_safe
def signed_on(request: HttpRequest) -> HttpResponse:
    """Back from the provider: let in, or for somebody who is logged in, offer to connect the identity."""
    if not settings.OIDC_ISSUER:
        raise Http404
    where = request.session.pop(NEXT, "")
    try:
        claims = sign_on.claims_of(request)
    except sign_on.SignOnFailed as error:
        return _refused(request, str(error))
    if request.user.is_authenticated:
        request.session[OFFERED] = [claims["sub"], sign_on.name_of(claims)]
        return render(request, "accounts/connect.html", {"name": sign_on.name_of(claims)})
    identity = sign_on.identity_of(claims)
    if identity:
        user = identity.user
    elif settings.OIDC_NEW_ACCOUNTS == "none":
        return _refused(request, gettext("no account here is connected with you"), sign_on.name_of(claims))
    else:
        user = sign_on.new_account(claims)
        audit.record_name(request, "account added", user.username, user, "single sign-on")
    if not user.is_active:
        return _refused(request, gettext("your account is closed; staff opens it"), user.username)
    return enter(request, user, "single sign-on", where or resolve_url(settings.LOGIN_REDIRECT_URL))


@require_POST
def connect(request: Request) -> HttpResponse:
    """Connect the identity that was just shown with the account that is logged in."""
    subject, name = request.session.pop(OFFERED, ["", ""])
    try:
        if not subject:
            raise IntegrityError
        sign_on.connect(request.user, subject, name)
    except IntegrityError:
        messages.error(request, gettext("Nothing was connected: this identity belongs to an account already."))
    else:
        audit.record(request, "identity connected")
        messages.success(request, gettext("From now on you can log in by single sign-on."))
    return redirect("accounts:own")


def _refused(request: HttpRequest, reason: str, name: str = "") -> HttpResponse:
    audit.record_name(request, "failed log-in", name, detail=f"single sign-on: {reason}")
    return render(request, "accounts/sign_on_refused.html", {"reason": reason}, status=403)
