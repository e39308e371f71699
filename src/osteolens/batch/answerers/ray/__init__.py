"""Answers films on every core of a Ray cluster, without a server."""

from osteolens.batch.answerers.ray.engine import run

__all__ = ["run"]
