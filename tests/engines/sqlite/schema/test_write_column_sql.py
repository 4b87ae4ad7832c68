"""Values as text in SQLite's definitions, which cannot have parameters."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import peewee
import pytest

from usage_store.engines.sqlite.schema.schema_operations import migrator_for

VALUES = [float("inf"), float("-inf"), 0.1, 2**63 - 1, "it's", "a\0b'", b"\x00'"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_default_is_what_it_was_given_as(value: Any) -> None:
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        migrator = migrator_for(database)
        with database.atomic():
            migrator.migrate(migrator.add_column_default("t", "a", value))
        database.execute_sql("INSERT INTO t (id) VALUES (1)")
        assert database.execute_sql("SELECT a FROM t").fetchall() == [(value,)]
