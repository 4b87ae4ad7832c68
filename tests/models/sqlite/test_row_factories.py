"""An application may set a row factory on its connection; the functions give the same as without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.driver import sqlite3
from tests.support.snapshots import compact_at_once, record
from usage_store import (
    UsageSession,
    UsageSnapshot,
    get_session_sizes,
    get_usage_config,
    get_usage_snapshots,
    get_usage_snapshots_by_session,
    insert_usage_snapshot,
    update_usage_config,
)
from usage_store.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable

    import peewee

pytestmark = pytest.mark.quick


def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def found() -> list[Any]:
    config = get_usage_config()
    assert config is not None
    snapshots = (*get_usage_snapshots(), *get_usage_snapshots_by_session("s"), *UsageSnapshot.between())
    counted = UsageSnapshot.count_between(session_id="s")
    return [config.as_dict(), [one.as_dict() for one in snapshots], counted, get_session_sizes()]


@pytest.mark.parametrize("factory", [sqlite3.Row, by_name])
def test_the_functions_give_the_same_with_a_row_factory(
    usage_database: peewee.SqliteDatabase, factory: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    UsageSession.register("s")
    record("[1]", '{"a":2}')
    update_usage_config({"plan": "max5", "reset_hour": 7})
    usual = found()
    usage_database.connection().row_factory = factory
    assert found() == usual
    assert not caplog.records
    with pytest.raises(InvalidValue, match=r"^snapshot_data: '\{oops'"):
        UsageSnapshot.record("s", "{oops")
    assert insert_usage_snapshot({"session_id": "s", "snapshot_data": 3}) is not None
    assert UsageSnapshot.count_between() == len(UsageSnapshot.rows_of_session("s")) == 3


def test_sql_of_ones_own_reads_compacted_texts_as_dicts(usage_database: peewee.SqliteDatabase) -> None:
    record("[1]", '{"a":2}')
    assert compact_at_once(usage_database) == 2
    usage_database.connection().row_factory = by_name
    rows = usage_database.execute_sql("SELECT usage_json(snapshot_data) AS text FROM usage_snapshots ORDER BY id")
    assert rows.fetchall() == [{"text": "[1]"}, {"text": '{"a":2}'}]
