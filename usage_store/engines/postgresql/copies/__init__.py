"""Copies of a PostgreSQL database: of its schema alone, and of its rows."""

from __future__ import annotations

from usage_store.engines.postgresql.copies.hash_rows import read_rows, read_state, size
from usage_store.engines.postgresql.copies.key_counters import raise_counters
from usage_store.engines.postgresql.copies.watch_statements import silent_database, statements_of

__all__ = ["raise_counters", "read_rows", "read_state", "silent_database", "size", "statements_of"]
