"""Work on films in a team: reading lists, marks, assignments, shares."""

from collections.abc import Iterable
from datetime import timedelta

from accounts.forms import check_text
from accounts.models import User
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from films.access import visible_to
from films.models import Film, Patient, Share

NEW_WITHIN = timedelta(days=1)
VIEWS = {
    "new": gettext_lazy("New"),
    "refer": gettext_lazy("Refer first"),
    "unread": gettext_lazy("Unread"),
    "mine": gettext_lazy("Mine"),
}
_UNREAD = Q(read_at=None)
_URGENCY = ("refer", "uncertain", "low suspicion")


class ColleagueForm(forms.Form):
    """The name of an account."""

    name = forms.CharField(max_length=150, label=gettext_lazy("Account"))

    def clean_name(self) -> User:
        """The account of this name, which is in use."""
        name = check_text(str(self.cleaned_data["name"]))
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            message = gettext("There is no account called %(name)s: type a name as it is for log-in, such as anna.")
            raise ValidationError(message % {"name": name})
        return user


def counts(user: User) -> dict[str, int]:
    """Films on each reading list; one query."""
    return visible_to(user).aggregate(**{name: Count("pk", filter=_condition(name, user)) for name in VIEWS})


def films_of(user: User, view: str) -> QuerySet[Film]:
    """A reading list, in the order in which it is worked."""
    films = visible_to(user).filter(_condition(view, user)).select_related("patient", "owner", "assigned_to", "read_by")
    if view == "new":
        return films.order_by("-uploaded_at", "pk")
    if view == "mine":
        is_read = Case(When(_UNREAD, then=Value(0)), default=Value(1), output_field=IntegerField())
        return films.order_by(is_read, "uploaded_at", "pk")
    if view == "refer":
        ranks = [When(triage=zone, then=Value(place)) for place, zone in enumerate(_URGENCY)]
        rank = Case(*ranks, default=Value(len(_URGENCY)), output_field=IntegerField())
        return films.order_by(rank, "uploaded_at", "pk")
    return films.order_by("uploaded_at", "pk")


def _condition(view: str, user: User) -> Q:
    if view == "new":
        return _UNREAD & Q(uploaded_at__gte=timezone.now() - NEW_WITHIN)
    return Q(assigned_to=user) if view == "mine" else _UNREAD


def mark(films: QuerySet[Film], user: User, *, read: bool) -> int:
    """Mark films as read by this person, or as unread; how many were not so before."""
    if read:
        return films.filter(_UNREAD).update(read_at=timezone.now(), read_by=user)
    return films.exclude(_UNREAD).update(read_at=None, read_by=None)


def share(user: User, *, film: Film | None = None, patient: Patient | None = None) -> bool:
    """Let an account see a film, or all films of a patient; whether it could not before."""
    return Share.objects.get_or_create(user=user, film=film, patient=patient)[1]


def share_of(user: User, share_id: int) -> Share:
    """A share of this person's own film or patient.

    Raises:
        Http404: There is none, or it is somebody else's.
    """
    own = Q(film__owner=user) | Q(patient__owner=user)
    share = Share.objects.select_related("film", "patient", "user").filter(own, pk=share_id).first()
    if share is None:
        raise Http404("no such share")
    return share


def shares_of(film: Film) -> QuerySet[Share]:
    """Whom a film is shown to, by itself or with its patient."""
    own = Q(film=film) | (Q(patient=film.patient_id) if film.patient_id else Q(pk=None))
    return Share.objects.filter(own).select_related("user").order_by("user__username")


def assignable(films: Iterable[Film], user: User) -> list[Film]:
    """Those that this person may assign: their own, and those that are assigned to them."""
    return [film for film in films if user.pk in (film.owner_id, film.assigned_to_id)]
