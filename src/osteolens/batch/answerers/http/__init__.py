"""Answers films by asking a server over HTTP."""
