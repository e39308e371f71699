"""Pages of staff: counts, accounts and the audit log, never films."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from films.tables import csv_response
from project.request import Request

from accounts import audit, counts, managing, second_factor
from accounts.forms import AccountForm, AuditForm, RoleForm
from accounts.models import User

PER_PAGE = 100
View = Callable[..., HttpResponseBase]


def _for_staff(view: View) -> View:
    """Whoever is not staff learns nothing of the page."""

    @wraps(view)
    def guarded(request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_staff:
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


@require_safe
@_for_staff
def overview(request: Request) -> HttpResponse:
    """Counts and accounts."""
    context = {"people": counts.people(), "queue": counts.queue(), "models": counts.models(), "form": AccountForm()}
    return render(request, "accounts/staff.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@_for_staff
def add(request: Request) -> HttpResponse:
    """A new account, with a password for one time that is shown this once."""
    form = AccountForm(request.POST or None)
    if form.is_valid():
        chosen = form.cleaned_data
        try:
            user, password = managing.add(chosen["name"], staff=chosen["staff"], reviewer=chosen["reviewer"])
        except ValidationError as error:
            form.add_error("name", error)
        else:
            audit.record(request, "account added", detail=f"{user.username}, {user.role}")
            return _account(request, user, password=password)
    return render(request, "accounts/add.html", {"form": form}, status=400 if form.is_bound else 200)


@require_safe
@_for_staff
def account(request: Request, user_id: int) -> HttpResponse:
    """An account, and what can be done to it."""
    return _account(request, get_object_or_404(User, pk=user_id))


def _account(request: Request, user: User, **more: object) -> HttpResponse:
    context = {
        "account": user,
        "films": user.film_set.count(),
        "sessions": user.sessions.count(),
        "tokens": user.tokens.order_by("-created_at"),
        "device": second_factor.device_of(user),
        "identities": user.identities.all(),
        "role_form": RoleForm(initial={"staff": user.is_staff, "reviewer": user.can_review}),
    }
    return render(request, "accounts/account.html", context | more)


@require_POST
@_for_staff
def change(request: Request, user_id: int, action: str) -> HttpResponse:
    """Close, reopen, promote or demote an account, reset what lost its owner, end sessions and tokens."""
    user = get_object_or_404(User, pk=user_id)
    try:
        done, password = _CHANGES[action](request, user)
    except managing.LastStaff:
        messages.error(request, gettext("This is the last open staff account: make another one staff first."))
        return redirect("account", user_id)
    changed = User.objects.get(pk=user_id)
    audit.record(request, done, detail=f"account {changed.username}, {changed.role}")
    if password:
        return _account(request, changed, password=password)
    messages.success(request, gettext("Done: %s") % gettext(done))
    if not User.objects.filter(pk=request.user.pk, is_active=True, is_staff=True).exists():
        return redirect("uploads:upload")
    return redirect("account", user_id)


def _close(_request: Request, user: User) -> tuple[str, str]:
    managing.close(user.pk)
    return gettext_noop("account closed"), ""


def _reopen(_request: Request, user: User) -> tuple[str, str]:
    managing.reopen(user.pk)
    return gettext_noop("account reopened"), ""


def _reset_password(_request: Request, user: User) -> tuple[str, str]:
    _, password = managing.reset_password(user.pk)
    return gettext_noop("password reset"), password


def _role(request: Request, user: User) -> tuple[str, str]:
    managing.set_role(user.pk, staff="staff" in request.POST, reviewer="reviewer" in request.POST)
    return gettext_noop("role changed"), ""


def _reset_second_factor(_request: Request, user: User) -> tuple[str, str]:
    second_factor.remove(user)
    user.sessions.all().delete()
    return gettext_noop("second factor reset"), ""


def _end_sessions(_request: Request, user: User) -> tuple[str, str]:
    user.sessions.all().delete()
    return gettext_noop("sessions ended"), ""


def _revoke_token(request: Request, user: User) -> tuple[str, str]:
    text = request.POST.get("token", "")
    count, _ = user.tokens.filter(pk=int(text) if text.isascii() and text.isdigit() else 0).delete()
    if not count:
        raise Http404
    return gettext_noop("token revoked"), ""


_CHANGES: dict[str, Callable[[Request, User], tuple[str, str]]] = {
    "close": _close,
    "reopen": _reopen,
    "password": _reset_password,
    "role": _role,
    "second-factor": _reset_second_factor,
    "sessions": _end_sessions,
    "token": _revoke_token,
}


@require_safe
@_for_staff
def audit_log(request: Request) -> HttpResponse:
    """The audit log, a page at a time."""
    form = AuditForm(request.GET)
    page = Paginator(form.narrow(), PER_PAGE).get_page(request.GET.get("page"))
    audit.record(request, "list", detail="audit log")
    query = urlencode([(name, value) for name, value in request.GET.items() if name != "page" and value])
    return render(request, "accounts/audit.html", {"form": form, "page": page, "query": query})


@require_safe
@_for_staff
def audit_csv(request: Request) -> HttpResponseBase:
    """The lines that pass the filters, as a table; times are UTC with its offset."""
    entries = AuditForm(request.GET).narrow()
    audit.record(request, "export", detail=f"audit log, {entries.count()} lines")
    rows = entries.values_list("at", "user_name", "action", "film_id", "detail", "address").iterator()
    header = ("at_utc", "who", "what", "film", "detail", "address")
    return csv_response("audit.csv", header, ([at.isoformat(), *rest] for at, *rest in rows))
