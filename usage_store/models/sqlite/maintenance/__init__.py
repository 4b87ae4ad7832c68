"""Keeping the usage tables small in SQLite."""
