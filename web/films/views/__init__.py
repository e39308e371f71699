"""Thin views, a module per page."""
