"""Answers films by asking a server over HTTP."""

from osteolens.batch.answerers.http.answerer import run

__all__ = ["run"]
