"""All addresses."""

from accounts.views import staff
from api.routes import api
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, re_path

from project import languages, pages

handler400 = "project.errors.bad_request"
handler403 = "project.errors.forbidden"
handler404 = "project.errors.not_found"
handler500 = "project.errors.server_error"

urlpatterns = [
    path("", include("uploads.urls")),
    path("", include("films.urls")),
    path("accounts/", include("accounts.urls")),
    path("reviews/", include("reviews.urls")),
    path("staff/", staff.overview, name="staff"),
    path("staff/accounts/add", staff.add, name="add_account"),
    path("staff/accounts/<int:user_id>/", staff.account, name="account"),
    re_path(
        r"^staff/accounts/(?P<user_id>\d{1,18})/(?P<action>close|reopen|password|role|second-factor|sessions|token)$",
        staff.change,
        name="change_account",
    ),
    path("staff/audit", staff.audit_log, name="audit"),
    path("staff/audit.csv", staff.audit_csv, name="audit_csv"),
    path("api/", api.urls),
    path("help", login_not_required(pages.numbers), name="help"),
    path("language", login_not_required(languages.choose), name="language"),
    path("texts/<str:language>.js", login_not_required(languages.texts), name="texts"),
    path("manifest.webmanifest", login_not_required(pages.manifest), name="manifest"),
    path("sw.js", login_not_required(pages.service_worker), name="service_worker"),
    path("offline", login_not_required(pages.offline), name="offline"),
]
