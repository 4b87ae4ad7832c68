"""Every connection that runs a query has the SQL functions, and they keep no database alive."""

from __future__ import annotations

import gc
import json
import threading
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase

from tests.support.databases import raw
from tests.support.driver import sqlite3
from tests.support.programs import TIMEOUT
from tests.support.snapshots import TEXTS, compact_old, record, write_row
from usage_store import UsageSnapshot, init_database, register_usage_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

S: Any = UsageSnapshot


@pytest.fixture
def path(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> Path:  # noqa: ARG001  it made the file
    record(*TEXTS)
    assert compact_old() == len(TEXTS)
    return tmp_path / "usage.db"


@pytest.fixture
def stranger(path: Path) -> Iterator[peewee.SqliteDatabase]:
    """Provide a database that init_database() does not know."""
    database = peewee.SqliteDatabase(str(path))
    yield database
    database.close()


def texts(database: peewee.Database) -> list[str]:
    return [snapshot.snapshot_data for snapshot in S.select().order_by(S.id).execute(database)]


def test_a_database_that_init_database_does_not_know_is_read(stranger: peewee.SqliteDatabase) -> None:
    for _ in range(2):
        assert texts(stranger) == list(TEXTS)
        assert S.select().where(S.snapshot_data.contains("filler")).execute(stranger)[0].id == 7
        stranger.close()
    stranger.connect()
    assert S.select().where(S.snapshot_data.contains("filler")).count(stranger) == 1
    assert S.update(snapshot_type="config").where(S.snapshot_data == "null").execute(stranger) == 2
    stranger.close()
    assert S.delete().where(S.snapshot_data == "null").execute(stranger) == 2


def test_a_connection_that_another_thread_opened_before_is_read(stranger: peewee.SqliteDatabase) -> None:
    connected, go_on = threading.Event(), threading.Event()
    found: list[list[str]] = []

    def read() -> None:
        with stranger.connection_context():
            connected.set()
            assert go_on.wait(TIMEOUT)
            found.append(texts(stranger))

    thread = threading.Thread(target=read)
    thread.start()
    assert connected.wait(TIMEOUT)
    assert texts(stranger) == list(TEXTS)
    go_on.set()
    thread.join(TIMEOUT)
    assert found == [list(TEXTS)]


def test_a_connection_that_waits_in_a_pool_is_read(path: Path) -> None:
    pool = PooledSqliteDatabase(str(path))
    with pool.connection_context():
        pool.execute_sql("SELECT 1").fetchall()
    for _ in range(2):
        assert texts(pool) == list(TEXTS)
        pool.close()
    pool.close_all()


@pytest.mark.parametrize("known", [False, True])
def test_a_query_can_start_while_others_are_read(stranger: peewee.SqliteDatabase, *, known: bool) -> None:
    if known:
        init_database(stranger)
        stranger.close()
    rows = stranger.execute_sql("SELECT id FROM usage_snapshots")
    rows.fetchone()
    lazy = S.select().order_by(S.id).iterator(stranger)
    first = next(lazy).snapshot_data
    assert texts(stranger) == list(TEXTS)
    assert [first, *(snapshot.snapshot_data for snapshot in lazy)] == list(TEXTS)
    assert len(rows.fetchall()) == len(TEXTS) - 1


def test_keeping_a_query_object_keeps_no_transaction_open(stranger: peewee.SqliteDatabase) -> None:
    query = S.raw("SELECT * FROM usage_snapshots WHERE id = 1").bind(stranger)
    assert query.get().snapshot_data == TEXTS[0]
    stranger.execute_sql("DROP TRIGGER usage_snapshots_inserted")
    assert stranger.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    del query


def test_reading_the_sql_of_a_query_opens_no_connection(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "looked.db"))
    assert "usage_text" in S.select().bind(database).sql()[0]
    assert database.is_closed()
    assert not (tmp_path / "looked.db").exists()


def test_a_database_that_does_not_connect_by_itself_stays_so(path: Path) -> None:
    database = peewee.SqliteDatabase(str(path), autoconnect=False)
    with pytest.raises(peewee.InterfaceError):
        texts(database)
    with database.connection_context():
        assert texts(database) == list(TEXTS)


def connections() -> int:
    gc.collect()
    return sum(isinstance(found, sqlite3.Connection) for found in gc.get_objects())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_unreferenced_databases_are_freed_with_their_connections(path: Path) -> None:
    before = connections()
    for _ in range(5):
        database: Any = peewee.SqliteDatabase(str(path))
        assert texts(database) == list(TEXTS)
    for _ in range(5):
        database = init_database(path)
        assert len(database.execute_sql("SELECT usage_json(snapshot_data) FROM usage_snapshots").fetchall()) == 8
        assert len(list(S.select())) == 8
    init_database(path).close()
    del database
    assert connections() <= before


def test_usage_json_with_a_block_reads_an_attached_store(path: Path, tmp_path: Path) -> None:
    init_database(tmp_path / "merged.db").close()
    merge = (
        "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) SELECT session_id, "
        "usage_json(snapshot_data, (SELECT data FROM other.usage_snapshot_blocks WHERE id = "
        "CAST(snapshot_data AS INTEGER))), snapshot_type, timestamp FROM other.usage_snapshots ORDER BY id"
    )
    with raw(tmp_path / "merged.db") as connection:
        register_usage_json(connection)
        connection.execute("ATTACH ? AS other", (str(path),))
        connection.execute("INSERT INTO usage_sessions SELECT * FROM other.usage_sessions")
        connection.execute(merge)
        assert [text for (text,) in connection.execute("SELECT snapshot_data FROM main.usage_snapshots")] == list(TEXTS)


def test_usage_json_returns_a_value_that_is_no_blob_unchanged(path: Path) -> None:
    with raw(path) as connection:
        register_usage_json(connection)
        for value in (None, 5, 1.5, "text", "1:0"):
            assert connection.execute("SELECT usage_json(?)", (value,)).fetchone() == (value,)
        assert connection.execute("SELECT usage_json(?), usage_json(?)", (b"[1]", b"\xff")).fetchone() == ("[1]", None)


def test_json_extract_raises_sqlite_s_error_for_text_that_is_not_json(stranger: peewee.SqliteDatabase) -> None:
    write_row(stranger.connection(), b"{oops")
    query = S.select(peewee.fn.json_extract(S.snapshot_data, "$.a")).tuples()
    with pytest.raises(sqlite3.OperationalError, match="malformed JSON"):
        list(query.execute(stranger))
    assert [json.loads(text) for text in texts(stranger)[:-1]] == [json.loads(text) for text in TEXTS]


def test_a_connection_of_a_proxy_s_database_has_usage_json_at_once(path: Path) -> None:
    database, other = peewee.SqliteDatabase(str(path)), peewee.SqliteDatabase(str(path))
    proxy = peewee.DatabaseProxy()
    proxy.initialize(database)
    init_database(proxy)
    for each in (database, other):
        proxy.initialize(each)
        found = proxy.execute_sql("SELECT usage_json(snapshot_data) FROM usage_snapshots ORDER BY id").fetchall()
        assert [text for (text,) in found] == list(TEXTS)
        each.close()


def test_registering_our_functions_does_not_disturb_the_host_s_functions(stranger: peewee.SqliteDatabase) -> None:
    stranger.register_function(lambda number: -number, "negative", 1)
    rows = stranger.execute_sql("SELECT negative(id) FROM usage_snapshots ORDER BY id")
    assert rows.fetchone() == (-1,)
    assert texts(stranger) == list(TEXTS)
    assert rows.fetchone() == (-2,)
    rows.close()
