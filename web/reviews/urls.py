"""Addresses of reviews."""

from django.urls import path

from reviews.views import exports, pictures, review, summary

app_name = "reviews"
urlpatterns = [
    path("", summary.summary, name="summary"),
    path("next", review.next_film, name="next"),
    path("export.csv", exports.export_csv, name="export_csv"),
    path("coco.json", exports.export_coco, name="coco"),
    path("training.zip", exports.export_training, name="training"),
    path("<uuid:film_id>/", review.review, name="review"),
    path("<uuid:film_id>/reveal", review.reveal, name="reveal"),
    path("<uuid:film_id>/picture.png", pictures.picture, name="picture"),
    path("<uuid:film_id>/values", pictures.values, name="values"),
    path("<uuid:film_id>/thumb.jpg", pictures.thumb, name="thumb"),
    path("<uuid:film_id>/maps/<int:reading>/<path:label>.png", pictures.heat_map, name="map"),
    path("<uuid:film_id>/regions/<int:review>.png", pictures.region, name="region"),
]
