"""The class names and the WHO definition behind them."""

from typing import Literal, get_args

Label = Literal["normal", "osteopenia", "osteoporosis"]

LABELS: tuple[Label, ...] = get_args(Label)
"""The classes in order of falling bone density; a model's card may name others."""

OSTEOPENIA_BELOW = -1.0
OSTEOPOROSIS_AT = -2.5


def label_from_t_score(t_score: float) -> Label:
    """The class of a T-score (standard deviations from the young adult mean).

    Source: WHO Technical Report Series 843 (1994): normal at -1.0 and above, osteoporosis at -2.5 and
    below, osteopenia in between.
    """
    if t_score <= OSTEOPOROSIS_AT:
        return "osteoporosis"
    if t_score < OSTEOPENIA_BELOW:
        return "osteopenia"
    return "normal"
