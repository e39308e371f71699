"""Answers films with a server, over HTTP."""

from osteolens.batch.answerers.http.answerer import run

__all__ = ["run"]
