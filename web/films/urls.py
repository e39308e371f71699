"""Addresses of films."""

from django.urls import path

from films.views import compare, files, film, history, patient, work

app_name = "films"
urlpatterns = [
    path("compare", compare.compare, name="compare"),
    path("films/", history.history, name="history"),
    path("films/export.csv", history.export_csv, name="export_csv"),
    path("films/state", history.state, name="history_state"),
    path("films/matching", history.matching, name="matching"),
    path("films/selected", history.selected, name="selected"),
    path("films/selected/edit", history.edit_selected, name="edit_selected"),
    path("films/undo", history.undo, name="undo"),
    path("worklist/", work.worklist, name="worklist"),
    path("worklist/selected", work.selected, name="worklist_selected"),
    path("shares/<int:share_id>/end", work.unshare, name="unshare"),
    path("patients/<uuid:patient_id>/share", work.share_patient, name="share_patient"),
    path("films/<uuid:film_id>/mark", work.mark, name="mark"),
    path("films/<uuid:film_id>/assign", work.assign, name="assign"),
    path("films/<uuid:film_id>/share", work.share_film, name="share"),
    path("patients/<uuid:patient_id>/", patient.patient, name="patient"),
    path("patients/<uuid:patient_id>/rename", patient.rename, name="rename_patient"),
    path("films/<uuid:film_id>/", film.film, name="film"),
    path("films/<uuid:film_id>/state", film.state, name="state"),
    path("films/<uuid:film_id>/edit", film.edit, name="edit"),
    path("films/<uuid:film_id>/facts", film.facts, name="facts"),
    path("films/<uuid:film_id>/reread", film.reread, name="reread"),
    path("films/<uuid:film_id>/delete", film.delete, name="delete"),
    path("films/<uuid:film_id>/picture.png", files.picture, name="picture"),
    path("films/<uuid:film_id>/values", files.values, name="values"),
    path("films/<uuid:film_id>/thumb.jpg", files.thumb, name="thumb"),
    path("films/<uuid:film_id>/maps/<int:reading>/<path:label>.png", files.heat_map, name="map"),
    path("films/<uuid:film_id>/overlay.png", files.overlay, name="overlay"),
    path("films/<uuid:film_id>/answer.json", files.answer_json, name="answer"),
    path("films/<uuid:film_id>/report.pdf", files.report_pdf, name="report"),
    path("films/<uuid:film_id>/dicom/<str:kind>", files.dicom_objects, name="dicom"),
    path("films/<uuid:film_id>/archive", film.send_to_archive, name="archive"),
    path("films/<uuid:film_id>/original", files.original, name="original"),
]
