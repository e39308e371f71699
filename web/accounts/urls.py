"""Addresses below /accounts/."""

from django.urls import path

from accounts.views import log_in, own

app_name = "accounts"
urlpatterns = [
    path("", own.own, name="own"),
    path("login", log_in.LogIn.as_view(), name="login"),
    path("code", log_in.code, name="code"),
    path("logout", log_in.LogOut.as_view(), name="logout"),
    path("sign-on", log_in.start_sign_on, name="sign_on"),
    path("signed-on", log_in.signed_on, name="signed_on"),
    path("connect", log_in.connect, name="connect"),
    path("disconnect/<int:identity_id>", own.disconnect, name="disconnect"),
    path("password", own.password, name="password"),
    path("second-factor", own.set_up_second_factor, name="second_factor"),
    path("second-factor/change", own.change_second_factor, name="change_second_factor"),
    path("sessions/end", own.end_sessions, name="end_sessions"),
    path("tokens", own.add_token, name="add_token"),
    path("tokens/<int:token_id>/revoke", own.revoke_token, name="revoke_token"),
]
