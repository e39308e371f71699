"""The form of a review: blind, it asks for the reviewer's own label; with the answer in view, for a verdict on it.

What the reviewer sees may differ from what is known from elsewhere, and both are kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy
from films import terms
from films.forms import Text
from films.models import Film, Reading

from osteolens.labels import LABELS, label_from_t_score
from reviews import regions
from reviews.models import Review
from reviews.regions import Mask

CANNOT_TELL = "?"
CLEARED = "none"
LOWEST_T, HIGHEST_T = -7.0, 7.0
"""T-scores outside are slips of the pen: -25 for -2.5, or a density in mg/cm2."""
_OPINIONS = ("seen_label", "region")


_NO_T_SCORE = gettext_lazy(
    "No measured T-score lies outside -7 to 7: is the decimal point in its place, and is it the T-score and not the "
    "density? For example -2.4."
)


class ReviewForm(forms.Form):
    """Form of both stages, blind and with the answer in view.

    Attributes:
        hidden: Whether the answer is hidden (or there is none): no verdict and no map can be asked for.
        labels: Labels to choose from.
        mask: The drawn region, bool [H, W]; None where nothing was drawn or the region was cleared.
    """

    verdict = forms.ChoiceField(
        required=False, choices=Review.Verdict.choices, widget=forms.RadioSelect, label=gettext_lazy("The answer is")
    )
    seen_label = forms.ChoiceField(required=False)
    true_label = forms.ChoiceField(required=False, label=gettext_lazy("True label, if known from elsewhere"))
    dxa_t_score = forms.FloatField(
        required=False,
        min_value=LOWEST_T,
        max_value=HIGHEST_T,
        label=gettext_lazy("T-score from DXA, if known"),
        error_messages=dict.fromkeys(("min_value", "max_value"), _NO_T_SCORE),
    )
    map_rating = forms.ChoiceField(
        required=False,
        choices=Review.MapRating.choices,
        widget=forms.RadioSelect,
        label=gettext_lazy("The heat map is"),
        help_text=gettext_lazy("optional"),
    )
    remark = Text(
        max_length=4000, required=False, label=gettext_lazy("Remark"), widget=forms.Textarea(attrs={"rows": 3})
    )
    region = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        film: Film,
        reading: Reading | None,
        hidden: bool,
        review: Review | None,
    ) -> None:
        super().__init__(data, initial=_initial(review))
        self.film, self.reading, self.hidden, self.review = film, reading, hidden, review
        self.labels = labels_of(reading)
        self.mask: Mask | None = None
        labels = [(label, terms.word(label)) for label in self.labels]
        field, known = self.fields["seen_label"], self.fields["true_label"]
        assert isinstance(field, forms.ChoiceField) and isinstance(known, forms.ChoiceField)  # noqa: S101, PT018
        known.choices = [("", gettext("not known")), *labels]
        field.label = gettext("What you see")
        field.choices = [*labels, (CANNOT_TELL, gettext("cannot tell"))]
        if hidden:
            del self.fields["verdict"], self.fields["map_rating"]
            field.required, field.widget = True, forms.RadioSelect(choices=field.choices)
        else:
            field.choices = [("", gettext("as the verdict says")), *field.choices]
        self.fields["dxa_t_score"].widget.attrs["step"] = "0.1"

    def clean_region(self) -> str:
        """The text; the mask goes to `mask`."""
        text = str(self.cleaned_data["region"])
        if text and text != CLEARED:
            try:
                mask = regions.from_data_url(text, regions.size_of(self.film))
            except ValueError as error:
                raise ValidationError(str(error)) from None
            self.mask = mask if mask.any() else None
        return text

    def clean(self) -> dict[str, Any]:
        """Refuse what contradicts itself: two perceptions, or two references. One may differ from the other."""
        fields = self.cleaned_data
        score, label = fields.get("dxa_t_score"), fields.get("true_label", "")
        measured = label_from_t_score(score) if score is not None else ""
        if score is not None and label and measured in self.labels and label != measured:
            self.add_error(
                "dxa_t_score",
                gettext(
                    "A T-score of %(score)s is %(measured)s by the WHO's limits, and the true label is %(label)s: "
                    "change one of the two, or leave it out."
                )
                % {"score": terms.number(score, "g"), "measured": terms.word(measured), "label": terms.word(label)},
            )
        verdict, stated = fields.get("verdict"), self.stated_label()
        if not self.hidden and not self.errors and not self.stated_verdict():
            self.add_error("verdict", gettext("Say whether the answer is right or wrong, or that you are unsure."))
        answer = self.reading.label if self.reading else ""
        if verdict == Review.Verdict.RIGHT and stated != answer:
            message = gettext(
                "You say that the answer, %(answer)s, is right, and that you see %(label)s: change one of the two."
            )
            self.add_error("verdict", message % {"answer": terms.word(answer), "label": terms.word(stated)})
        if verdict == Review.Verdict.WRONG and stated == answer:
            message = gettext(
                "You say that the answer is wrong, and like it that you see %(label)s: change one of the two."
            )
            self.add_error("verdict", message % {"label": terms.word(stated)})
        return fields

    def stated_label(self) -> str:
        """Label that the reviewer sees: the chosen one, or the answer's where it is called right."""
        fields = self.cleaned_data
        label = str(fields.get("seen_label", ""))
        if label and label != CANNOT_TELL:
            return label
        return self.reading.label if self.reading and fields.get("verdict") == Review.Verdict.RIGHT else ""

    def stated_verdict(self) -> str:
        """Verdict of the field, or the one that follows from the label; empty where none does."""
        verdict, stated = self.cleaned_data.get("verdict"), self.stated_label()
        if verdict:
            return str(verdict)
        if not stated:
            return Review.Verdict.UNSURE if self.hidden else ""
        if self.reading is None:
            return ""
        return Review.Verdict.RIGHT if stated == self.reading.label else Review.Verdict.WRONG

    @property
    def changes_opinion(self) -> bool:
        """Whether label or region are not what they were."""
        return any(name in self.changed_data for name in _OPINIONS)


def labels_of(reading: Reading | None) -> Sequence[str]:
    """The classes that a reviewer chooses from: the model's, in its order."""
    return tuple(reading.row["probabilities"]) if reading else LABELS


def _initial(review: Review | None) -> dict[str, Any]:
    if review is None:
        return {}
    names = ("verdict", "seen_label", "true_label", "dxa_t_score", "map_rating", "remark")
    return {name: getattr(review, name) for name in names}
