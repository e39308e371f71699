"""Filters that put what the library said into the language of the page."""

from django import template

from films import terms
from films.cards import condition_of

register = template.Library()
register.filter("label", terms.word)
register.filter("sentence", terms.sentence)
register.filter("sentences", terms.sentences)
register.filter("headline", terms.headline)
register.filter("share", terms.share)


@register.filter
def condition(model: str) -> str:
    """What a model's labels grade; empty where its card is not at hand."""
    return terms.word(condition_of(model))
