"""Log-in, log-out, password, and the counts that staff sees."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe
from project.request import Request

from accounts import audit, counts
from accounts.forms import LogInForm
from accounts.models import AuditEntry

SHOWN_ENTRIES = 100


class LogIn(LoginView):
    """The log-in page."""

    template_name = "accounts/login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True
    http_method_names = ("get", "post", "head", "options")


class LogOut(LogoutView):
    """Ends the session and empties the browser's cache of this site."""

    http_method_names = ("post", "options")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Log out, and tell the browser to empty its cache."""
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        response["Clear-Site-Data"] = '"cache"'
        return response


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
        messages.success(request, "Your password is changed.")
        return redirect("uploads:upload")
    context = {"form": form, "must_change": request.user.must_change_password}
    return render(request, "accounts/password.html", context, status=400 if form.is_bound else 200)


@require_safe
def staff(request: Request) -> HttpResponse:
    """Counts without pictures; whoever is not staff learns nothing of the page."""
    if not request.user.is_staff:
        raise Http404
    context = {
        "people": counts.people(),
        "queue": counts.queue(),
        "models": counts.models(),
        "entries": AuditEntry.objects.order_by("-id")[:SHOWN_ENTRIES],
    }
    return render(request, "accounts/staff.html", context)
