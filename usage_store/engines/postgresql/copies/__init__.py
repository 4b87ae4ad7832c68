"""Copies of a PostgreSQL database: of its schema alone, and of its rows."""

from usage_store.engines.postgresql.copies.compare_objects import compare
from usage_store.engines.postgresql.copies.copy_schema_only import empty_copy
from usage_store.engines.postgresql.copies.dump_commands import back_up_alone, back_up_rows, restore
from usage_store.engines.postgresql.copies.hash_rows import read_rows, read_state, size
from usage_store.engines.postgresql.copies.key_counters import raise_counters
from usage_store.engines.postgresql.copies.measure_steps import Meter
from usage_store.engines.postgresql.copies.rehearse_in_place import check_copy, whole_copy
from usage_store.engines.postgresql.copies.watch_statements import silent_database, statements_of

__all__ = [
    "Meter",
    "back_up_alone",
    "back_up_rows",
    "check_copy",
    "compare",
    "empty_copy",
    "raise_counters",
    "read_rows",
    "read_state",
    "restore",
    "silent_database",
    "size",
    "statements_of",
    "whole_copy",
]
