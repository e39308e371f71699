"""Addresses of uploads."""

from django.urls import path

from uploads import views

app_name = "uploads"
urlpatterns = [
    path("", views.upload, name="upload"),
    path("upload", views.upload_file, name="upload_file"),
    path("session", views.session, name="session"),
]
