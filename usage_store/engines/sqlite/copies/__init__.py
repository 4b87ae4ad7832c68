"""Copy SQLite databases: backups, restores, and copies to try things on."""

from usage_store.engines.sqlite.copies.back_up import back_up_alone, back_up_rows
from usage_store.engines.sqlite.copies.compare_objects import compare
from usage_store.engines.sqlite.copies.copy_schema_only import empty_copy, silent_database, statements_of
from usage_store.engines.sqlite.copies.hash_rows import read_rows, read_state
from usage_store.engines.sqlite.copies.raise_counters import raise_counters
from usage_store.engines.sqlite.copies.restore_backup import restore
from usage_store.engines.sqlite.copies.temporary_copy import Meter, check_copy, whole_copy
from usage_store.engines.sqlite.file.free_disk_space import size

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
