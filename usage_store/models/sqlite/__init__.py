"""The usage tables in SQLite: the functions of the interface in `usage_store.models.storage_interface`.

Three modules are imported at their first use. A monitor that only stores and reads starts 14 ms faster without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from usage_store.models.sqlite.rows import follow_events
from usage_store.models.sqlite.rows.configuration_row import active_configuration, reset_configuration
from usage_store.models.sqlite.rows.insert_rows import (
    check_session_id,
    insert,
    insert_many,
    refused_because,
    register,
)
from usage_store.models.sqlite.rows.list_rows import of_session, recent, session_sizes
from usage_store.models.sqlite.rows.pages_of_rows import count_between, pages
from usage_store.models.sqlite.rows.peewee_queries import ReadingCursor, while_running
from usage_store.models.sqlite.rows.sql_functions import prepare, write_text

if TYPE_CHECKING:
    from usage_store.models.sqlite import maintenance
    from usage_store.models.sqlite.rows import copy_rows, typescript_tables

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
    homes = {"copy_rows": f"{__name__}.rows", "maintenance": __name__, "typescript_tables": f"{__name__}.rows"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{homes[name]}.{name}")
