"""Filters that put what the library said into the language of the page."""

from django import template

from films import terms

register = template.Library()
register.filter("label", terms.word)
register.filter("sentence", terms.sentence)
register.filter("sentences", terms.sentences)
register.filter("headline", terms.headline)
register.filter("share", terms.share)
