"""If an open file is deleted or replaced, the next use raises an error, and nothing is written to another file."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import rows, script
from tests.support.driver import sqlite3
from usage_store import (
    MigrationRunner,
    UsageSnapshot,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    register_session,
)
from usage_store.engines.sqlite.connection import notice_replaced_file
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile
from usage_store.errors import DatabaseReplaced, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SNAPSHOT = {"session_id": "s", "snapshot_data": {}}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a database that checks its path before each use, not only once a second."""
    monkeypatch.setattr(notice_replaced_file, "_SECONDS", 0)
    database = init_database(tmp_path / "usage.db")
    register_session("s")
    yield database
    database.close()


def delete(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def replace(path: Path) -> None:
    script(path, f"VACUUM INTO '{path.parent}/new.db'")
    delete(path)
    (path.parent / "new.db").rename(path)


def _in_a_transaction(database: Any) -> None:
    with database.atomic():
        UsageSnapshot.record("s", {})


USES: dict[str, Callable[[Any], object]] = {
    "insert": lambda _: insert_usage_snapshot(SNAPSHOT),
    "many": lambda _: insert_usage_snapshots([SNAPSHOT] * 3),
    "session": lambda _: register_session("t"),
    "transaction": _in_a_transaction,
    "sql": lambda database: database.execute_sql("DELETE FROM usage_snapshots"),
    "executemany": lambda database: database.cursor().executemany("INSERT INTO usage_sessions VALUES (?, 1)", [("t",)]),
    "connection": lambda database: database.connection().execute("DELETE FROM usage_sessions"),
    "maintain": maintain,
    "migrate": lambda database: MigrationRunner(database).rollback(0),
}


@pytest.mark.parametrize("change", [delete, replace])
@pytest.mark.parametrize("use", USES)
def test_each_use_of_a_file_that_is_not_there_any_more_is_told(
    tmp_path: Path, database: Any, use: str, change: Callable[[Path], None]
) -> None:
    change(tmp_path / "usage.db")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for _ in range(3):
        with pytest.raises(DatabaseReplaced, match=r"usage\.db: (was deleted|is not the file that was opened)"):
            USES[use](database)
        assert not database.in_transaction()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_once_closed_it_opens_the_file_that_is_there(tmp_path: Path, database: Any) -> None:
    replace(tmp_path / "usage.db")
    with pytest.raises(DatabaseReplaced, match="its next use opens the new file"):
        insert_usage_snapshot(SNAPSHOT)
    database.close()
    assert insert_usage_snapshot(SNAPSHOT) is not None
    database.close()
    assert len(rows(tmp_path / "usage.db", "SELECT id FROM usage_snapshots")) == 1


def test_a_file_that_is_gone_is_not_made_by_a_connection_but_by_init_database(tmp_path: Path, database: Any) -> None:
    delete(tmp_path / "usage.db")
    database.close()
    for _ in range(2):
        with pytest.raises(DatabaseUnreadable, match=r"usage\.db: no such database any more; init_database\(\) makes"):
            insert_usage_snapshot(SNAPSHOT)
    assert not list(tmp_path.iterdir())
    with init_database(tmp_path / "usage.db"):
        assert register_session("s")


def test_in_the_middle_of_a_transaction_all_of_it_is_rolled_back(tmp_path: Path, database: Any) -> None:
    database.execute_sql("PRAGMA journal_mode = DELETE")

    def insert_two() -> None:
        with database.atomic():
            insert_usage_snapshot(SNAPSHOT)
            (tmp_path / "usage.db").rename(tmp_path / "moved.db")
            insert_usage_snapshot(SNAPSHOT)

    with pytest.raises(DatabaseReplaced):
        insert_two()
    (tmp_path / "moved.db").rename(tmp_path / "usage.db")
    assert not database.connection().in_transaction
    assert insert_usage_snapshot(SNAPSHOT) is not None
    assert len(rows(tmp_path / "usage.db", "SELECT id FROM usage_snapshots")) == 1


def test_a_thread_that_connected_anew_does_not_speak_for_another(tmp_path: Path, database: Any) -> None:
    database.connection()
    replace(tmp_path / "usage.db")
    seen: list[object] = []

    def work() -> None:
        seen.append(insert_usage_snapshot(SNAPSHOT))
        database.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert seen != [None]
    with pytest.raises(DatabaseReplaced):
        insert_usage_snapshot(SNAPSHOT)


@pytest.mark.usefixtures("database")
def test_the_path_is_looked_at_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, looks, stat = time.monotonic(), [], os.stat
    now = [start]

    def counted(path: Any, **options: Any) -> os.stat_result:
        looks.append(path)
        return stat(path, **options)

    monkeypatch.setattr(notice_replaced_file, "monotonic", lambda: now[0])
    monkeypatch.setattr(notice_replaced_file, "_SECONDS", 1)
    insert_usage_snapshot(SNAPSHOT)
    monkeypatch.setattr(os, "stat", counted)
    for tenth in range(25):
        now[0] = start + 1.5 + tenth / 10
        insert_usage_snapshot(SNAPSHOT)
    monkeypatch.undo()
    assert looks == [str(tmp_path / "usage.db")] * 3


def test_after_a_change_of_folder_a_new_connection_reaches_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with init_database("usage.db"):
        register_session("s")
    monkeypatch.chdir("elsewhere")
    assert insert_usage_snapshot(SNAPSHOT) is not None

    def insert() -> None:
        insert_usage_snapshot(SNAPSHOT)
        UsageSnapshot._meta.database.close()  # this thread's connection

    thread = threading.Thread(target=insert)
    thread.start()
    thread.join(60)
    UsageSnapshot._meta.database.close()
    assert len(rows(tmp_path / "usage.db", "SELECT id FROM usage_snapshots")) == 2
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_that_names_another_file_now_is_told(tmp_path: Path, database: Any) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE usage_sessions (session_id, created_at)")
    (tmp_path / "link.db").symlink_to("usage.db")
    linked: Any = SqliteFile(str(tmp_path / "link.db"))
    with closing(linked):
        linked.connect()
        (tmp_path / "link.db").unlink()
        (tmp_path / "link.db").symlink_to("other.db")
        with pytest.raises(DatabaseReplaced):
            linked.execute_sql("INSERT INTO usage_sessions VALUES ('t', 1)")
    assert not database.is_closed()
