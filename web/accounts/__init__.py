"""Accounts, log-in, and the audit log."""
