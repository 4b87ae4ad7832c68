"""The usage tables in PostgreSQL: the functions of the interface in `usage_store.models.storage_interface`.

The storage interface imports this package when the first PostgreSQL database is used. Some modules are imported at
their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from usage_store.models.postgresql import maintenance
    from usage_store.models.postgresql.rows import copy_rows, follow_events, typescript_tables

__all__ = [
    "ReadingCursor",
    "active_configuration",
    "check_session_id",
    "copy_rows",
    "count_between",
    "follow_events",
    "insert",
    "insert_many",
    "maintenance",
    "of_session",
    "pages",
    "prepare",
    "recent",
    "refused_because",
    "register",
    "reset_configuration",
    "session_sizes",
    "typescript_tables",
    "while_running",
    "write_text",
]


def __getattr__(name: str) -> Any:
    homes = {
        "copy_rows": f"{__name__}.rows",
        "follow_events": f"{__name__}.rows",
        "maintenance": __name__,
        "typescript_tables": f"{__name__}.rows",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{homes[name]}.{name}")
