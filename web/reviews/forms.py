"""The form of a review: blind, it asks for the reviewer's own label; with the answer in view, for a verdict on it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from films.forms import Text
from films.models import Film, Reading

from osteolens.labels import LABELS, label_from_t_score
from reviews import regions
from reviews.models import Review
from reviews.regions import Mask

CANNOT_TELL = "?"
CLEARED = "none"
LOWEST_T, HIGHEST_T = -10.0, 10.0
_OPINIONS = ("true_label", "region")


class ReviewForm(forms.Form):
    """Form of both stages, blind and with the answer in view.

    Attributes:
        hidden: Whether the answer is hidden (or there is none): no verdict and no map can be asked for.
        labels: Labels to choose from.
        mask: The drawn region, bool [H, W]; None where nothing was drawn or the region was cleared.
    """

    verdict = forms.ChoiceField(
        required=False, choices=Review.Verdict.choices, widget=forms.RadioSelect, label="The answer is"
    )
    true_label = forms.ChoiceField(required=False, label="True label, if known")
    dxa_t_score = forms.FloatField(
        required=False, min_value=LOWEST_T, max_value=HIGHEST_T, label="T-score from DXA, if known"
    )
    map_rating = forms.ChoiceField(
        required=False,
        choices=Review.MapRating.choices,
        widget=forms.RadioSelect,
        label="The heat map is",
        help_text="optional",
    )
    remark = Text(max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 3}))
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
        labels = [(label, label) for label in self.labels]
        field = self.fields["true_label"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # for the type
        if hidden:
            del self.fields["verdict"], self.fields["map_rating"]
            field.label, field.required, field.widget = "What you see", True, forms.RadioSelect()
            field.choices = [*labels, (CANNOT_TELL, "cannot tell")]
        else:
            field.choices = [("", "not known"), *labels]
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
        """Refuse what contradicts itself: figures and training tables are made from it."""
        fields = self.cleaned_data
        score, label = fields.get("dxa_t_score"), fields.get("true_label", "")
        measured = self._measured(score)
        if measured and label not in ("", CANNOT_TELL, measured):
            self.add_error(
                "dxa_t_score", f"A T-score of {score:g} is {measured} by the WHO's limits, and you say {label}."
            )
        verdict, stated = fields.get("verdict"), self.stated_label()
        if not self.hidden and not self.errors and not self.stated_verdict():
            self.add_error("verdict", "Say whether the answer is right or wrong, or that you are unsure.")
        answer = self.reading.label if self.reading else ""
        if verdict == Review.Verdict.RIGHT and stated != answer:
            self.add_error("verdict", f"You say that the answer, {answer}, is right, and that the film shows {stated}.")
        if verdict == Review.Verdict.WRONG and stated == answer:
            self.add_error("verdict", f"You say that the answer is wrong, and like it that the film shows {stated}.")
        return fields

    def stated_label(self) -> str:
        """Label that the review stands for: the chosen one, the T-score's, or the answer's where it is right."""
        fields = self.cleaned_data
        label = fields.get("true_label", "")
        if label and label != CANNOT_TELL:
            return str(label)
        measured = self._measured(fields.get("dxa_t_score"))
        if measured or fields.get("verdict") != Review.Verdict.RIGHT:
            return measured
        return self.reading.label if self.reading else ""

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

    def _measured(self, score: float | None) -> str:
        label = label_from_t_score(score) if score is not None else ""
        return label if label in self.labels else ""


def labels_of(reading: Reading | None) -> Sequence[str]:
    """The classes that a reviewer chooses from: the model's, in its order."""
    return tuple(reading.row["probabilities"]) if reading else LABELS


def _initial(review: Review | None) -> dict[str, Any]:
    if review is None:
        return {}
    names = ("verdict", "true_label", "dxa_t_score", "map_rating", "remark")
    return {name: getattr(review, name) for name in names}
