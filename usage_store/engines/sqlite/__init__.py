"""The SQLite engine: the names that `usage_store.engines.interface.engine` asks for.

The sub-packages, and functions that the command `check` does not need, are imported only when they are used. Importing
all of them would double the start time of the command line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.driver import check_version, driver_errors, is_in_memory, owns
from usage_store.engines.sqlite.connection.error_messages import (
    is_disk_failure,
    is_locked,
    raise_of_a_statement,
    readable_errors,
)
from usage_store.engines.sqlite.connection.open_file import (
    close_all,
    file_of,
    hear_signals,
    lent,
    name_of,
    open_database,
    refuse_readonly,
)
from usage_store.engines.sqlite.connection.plain_connection import plain_connection
from usage_store.engines.sqlite.file.list_tables import (
    has_columns,
    hidden,
    kind_of,
    own_tables,
    rename_table,
    tables_having,
    tables_with,
)
from usage_store.engines.sqlite.file.schema_hash import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

    from usage_store.engines.interface.engine import Engine
    from usage_store.engines.sqlite import copies, filling, from_models, migrating, schema
    from usage_store.engines.sqlite.file.integrity_checks import damage, violations
    from usage_store.engines.sqlite.file.point_at_file import (
        close_anyway,
        database_at,
        options_of,
        pointed_at,
    )
    from usage_store.engines.sqlite.file.write_transaction import in_transaction, one_view, write_transaction

__all__ = [
    "ANY_VALUE",
    "COLUMN_TYPES",
    "NAME",
    "ON_A_SERVER",
    "VIOLATIONS_HINT",
    "Fingerprint",
    "check_version",
    "close_all",
    "close_anyway",
    "copies",
    "damage",
    "database_at",
    "driver_errors",
    "file_of",
    "filling",
    "from_models",
    "has_columns",
    "hear_signals",
    "hidden",
    "in_transaction",
    "is_disk_failure",
    "is_in_memory",
    "is_locked",
    "kind_of",
    "lent",
    "migrating",
    "name_of",
    "one_view",
    "open_database",
    "options_of",
    "own_tables",
    "owns",
    "plain_connection",
    "pointed_at",
    "raise_of_a_statement",
    "readable_errors",
    "refuse_readonly",
    "rename_table",
    "schema",
    "tables_having",
    "tables_with",
    "violations",
    "write_transaction",
]

NAME = "sqlite"
ON_A_SERVER = False
COLUMN_TYPES: Mapping[str, str] = {"int": "INTEGER", "id": "INTEGER PRIMARY KEY", "bytes": "BLOB", "float": "REAL"}
VIOLATIONS_HINT = "PRAGMA foreign_key_check lists them"
ANY_VALUE = "CAST({} AS BLOB)"


_LATER = {
    "close_anyway": "point_at_file",
    "damage": "integrity_checks",
    "database_at": "point_at_file",
    "in_transaction": "write_transaction",
    "one_view": "write_transaction",
    "options_of": "point_at_file",
    "pointed_at": "point_at_file",
    "violations": "integrity_checks",
    "write_transaction": "write_transaction",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.file.{_LATER[name]}"), name)
    if name not in ("copies", "filling", "from_models", "migrating", "schema"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


if TYPE_CHECKING:
    from usage_store.engines import sqlite as _itself

    _: Engine[peewee.SqliteDatabase] = _itself
