"""One's own account: password, sessions, second step, tokens."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from project.request import Request

from accounts import audit, second_factor
from accounts.forms import CodeForm, TokenForm
from accounts.models import MOST_TOKEN_DAYS, Session, Token, digest_of
from accounts.sessions import in_words

MOST_TOKENS = 50


@require_safe
def own(request: Request) -> HttpResponse:
    """The page."""
    return _page(request)


def _page(request: Request, status: int = 200, **more: object) -> HttpResponse:
    user = request.user
    sessions = user.sessions.filter(expire_date__gt=timezone.now()).order_by("-seen_at")
    context = {
        "sessions": [
            {"row": row, "id": _id(row), "words": in_words(row.agent), "here": row.pk == request.session.session_key}
            for row in sessions
        ],
        "tokens": user.tokens.order_by("-created_at"),
        "token_form": TokenForm(),
        "most_days": MOST_TOKEN_DAYS,
        "device": second_factor.device_of(user),
        "codes_left": user.recovery_codes.count(),
        "required": settings.SECOND_FACTOR_REQUIRED,
        "identities": user.identities.all(),
        "sign_on": settings.OIDC_ISSUER and settings.OIDC_NAME,
    }
    return render(request, "accounts/own.html", context | more, status=status)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: Request) -> HttpResponse:
    """Change the password; every token and every other session of this person ends with the old one."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if form.is_valid():
        user = form.save(commit=False)
        user.must_change_password = False
        user.save()
        # Without it this session would end with all the others.
        update_session_auth_hash(request, user)
        audit.record(request, "change of password")
        messages.success(request, gettext("Your password is changed; your other sessions and your tokens have ended."))
        return redirect("uploads:upload")
    context = {"form": form, "must_change": request.user.must_change_password}
    return render(request, "accounts/password.html", context, status=400 if form.is_bound else 200)


@require_POST
def add_token(request: Request) -> HttpResponse:
    """A new token; its text is on the page that answers, and nowhere else."""
    form = TokenForm(request.POST)
    request.user.tokens.filter(expires_at__lte=timezone.now()).delete()
    if request.user.tokens.count() >= MOST_TOKENS:
        form.add_error(None, gettext("You have %d tokens, and no more are possible: revoke one first.") % MOST_TOKENS)
    if not form.is_valid():
        return _page(request, 400, token_form=form)
    name, days = form.cleaned_data["name"], form.cleaned_data["days"]
    text = Token.create(request.user, name, days)
    audit.record(request, "token", detail=f"{name}, {days} days")
    return _page(request, new_token=text)


@require_POST
def revoke_token(request: Request, token_id: int) -> HttpResponse:
    """End a token."""
    token = request.user.tokens.filter(pk=token_id).first()
    if token is None:
        raise Http404
    token.delete()
    audit.record(request, "token revoked", detail=token.name)
    messages.success(request, gettext("Revoked: %s") % token.name)
    return redirect("accounts:own")


@require_POST
def end_sessions(request: Request) -> HttpResponse:
    """End another session, or all others."""
    others = request.user.sessions.exclude(pk=request.session.session_key)
    chosen = [row.pk for row in others if "all" in request.POST or _id(row) == request.POST.get("session")]
    count, _ = others.filter(pk__in=chosen).delete()
    audit.record(request, "session ended", detail=f"{count}")
    messages.success(request, gettext("Ended. Whoever used it has to log in again."))
    return redirect("accounts:own")


def _id(session: Session) -> str:
    """Names a session on the page: its key would open it."""
    return digest_of(session.pk)[:16]


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def set_up_second_factor(request: Request) -> HttpResponse:
    """QR code for the app; a code of it takes it into use and shows the recovery codes."""
    if second_factor.device_of(request.user):
        return redirect("accounts:own")
    form = CodeForm(request.POST or None)
    if form.is_valid():
        codes = second_factor.confirm(request.user, form.cleaned_data["code"])
        if codes:
            request.session["second_factor"] = True
            audit.record(request, "second factor on")
            return render(request, "accounts/recovery_codes.html", {"codes": codes})
        form.add_error("code", gettext("This is not the app's code. Wait a little, then type the one it shows."))
    device = second_factor.new_device(request.user)
    context = {
        "form": form,
        "picture": second_factor.picture(device),
        "secret": second_factor.secret(device),
        "required": settings.SECOND_FACTOR_REQUIRED,
    }
    return render(request, "accounts/second_factor.html", context, status=400 if form.is_bound else 200)


@sensitive_post_parameters()
@require_POST
def change_second_factor(request: Request) -> HttpResponse:
    """Turn it off, or get new recovery codes; either needs a code, as a session left open must not be enough."""
    form = CodeForm(request.POST)
    turns_off = "off" in request.POST
    if turns_off and settings.SECOND_FACTOR_REQUIRED:
        raise Http404
    if not form.is_valid() or not second_factor.passes(request, request.user, form.cleaned_data["code"]):
        messages.error(request, gettext("Nothing was changed: the code is wrong or was used already."))
        return redirect("accounts:own")
    if turns_off:
        second_factor.remove(request.user)
        request.session["second_factor"] = False
        audit.record(request, "second factor off")
        messages.success(request, gettext("The second step is off."))
        return redirect("accounts:own")
    audit.record(request, "recovery codes")
    return render(request, "accounts/recovery_codes.html", {"codes": second_factor.new_recovery_codes(request.user)})


@require_POST
def disconnect(request: Request, identity_id: int) -> HttpResponse:
    """Take single sign-on from an account that has a password."""
    identity = request.user.identities.filter(pk=identity_id).first()
    if identity is None:
        raise Http404
    if not request.user.has_usable_password():
        messages.error(request, gettext("This account has no password, so you could not log in any more."))
        return redirect("accounts:own")
    identity.delete()
    audit.record(request, "identity disconnected")
    messages.success(request, gettext("Single sign-on no longer opens this account."))
    return redirect("accounts:own")
