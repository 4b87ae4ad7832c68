"""The usage tables in PostgreSQL: the functions of the interface in `usage_store.models.storage_interface`.

Everything is imported when it is first used, so that programs with SQLite start as fast as before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usage_store.models.postgresql.rows.configuration_row import active_configuration, reset_configuration
    from usage_store.models.postgresql.rows.insert_rows import (
        check_session_id,
        insert,
        insert_many,
        refused_because,
        register,
    )
    from usage_store.models.postgresql.rows.list_rows import of_session, recent, session_sizes
    from usage_store.models.postgresql.rows.pages_of_rows import count_between, pages
    from usage_store.models.postgresql.rows.peewee_queries import ReadingCursor, prepare, while_running, write_text

_HOMES = {
    "rows.configuration_row": ("active_configuration", "reset_configuration"),
    "rows.insert_rows": ("check_session_id", "insert", "insert_many", "refused_because", "register"),
    "rows.list_rows": ("of_session", "recent", "session_sizes"),
    "rows.pages_of_rows": ("count_between", "pages"),
    "rows.peewee_queries": ("ReadingCursor", "prepare", "while_running", "write_text"),
}
_MODULES = {"copy_rows": "rows", "follow_events": "rows", "maintenance": "", "typescript_tables": "rows"}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ReadingCursor",
    "active_configuration",
    "check_session_id",
    "count_between",
    "insert",
    "insert_many",
    "of_session",
    "pages",
    "prepare",
    "recent",
    "refused_because",
    "register",
    "reset_configuration",
    "session_sizes",
    "while_running",
    "write_text",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(".".join(filter(None, (__name__, _MODULES[name], name))))
