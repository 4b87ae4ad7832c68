"""Pointing an application's database at another file: nothing of the file that it names is opened, changed or lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase

from tests.support.programs import TIMEOUT
from usage_store.engines import engine_of_kind, open_database
from usage_store.errors import ConfigurationError, TransactionOpen

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.quick


class Own(peewee.SqliteDatabase):
    def __init__(self, folder: str) -> None:
        self.opened: list[str] = []
        super().__init__(f"{folder}/production.db", pragmas={"cache_size": -77, "synchronous": 2}, timeout=9)

    def _add_conn_hooks(self, conn: Any) -> None:
        self.opened.append(self.database)
        super()._add_conn_hooks(conn)  # type: ignore[misc]  # private in peewee, so not in its stubs


def encrypted(folder: Path) -> peewee.SqliteDatabase:
    module = pytest.importorskip("playhouse.sqlcipher_ext")
    return module.SqlCipherDatabase(f"{folder}/production.db", passphrase="secret", pragmas={"cache_size": -77})  # type: ignore[no-any-return]


KINDS: dict[str, Callable[[Path], peewee.SqliteDatabase]] = {
    "plain": lambda folder: peewee.SqliteDatabase(f"{folder}/production.db", pragmas={"cache_size": -77}, timeout=9),
    "a pool": lambda folder: PooledSqliteDatabase(
        f"{folder}/production.db", pragmas={"cache_size": -77}, max_connections=3, timeout=9, stale_timeout=60
    ),
    "own class": lambda folder: Own(str(folder)),
    "deferred": lambda _folder: peewee.SqliteDatabase(None, pragmas=[("cache_size", -77)], timeout=9),
    "not thread-safe": lambda folder: peewee.SqliteDatabase(
        f"{folder}/production.db", pragmas={"cache_size": -77}, thread_safe=False
    ),
    "a URI": lambda folder: peewee.SqliteDatabase(
        f"file:{folder}/production.db?mode=rwc", uri=True, pragmas={"cache_size": -77}
    ),
    "encrypted": encrypted,
}


def pointed_at(database: peewee.Database, path: Path) -> AbstractContextManager[None]:
    return engine_of_kind(type(database)).pointed_at(database, str(path))


def as_text(database: peewee.Database) -> str:
    return repr({name: value for name, value in sorted(vars(database).items()) if name not in ("_state", "opened")})


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_uses_the_file_in_the_block_and_is_as_before_afterwards(tmp_path: Path, kind: str) -> None:
    database = KINDS[kind](tmp_path)
    before, state = as_text(database), database._state  # type: ignore[attr-defined]
    timeout = database.timeout
    for _ in range(2):
        (tmp_path / "test.db").unlink(missing_ok=True)
        with pointed_at(database, tmp_path / "test.db"):
            assert database.is_closed()
            with database.atomic():
                database.execute_sql("CREATE TABLE a (b)")
            assert database.timeout == timeout
            assert database.pragma("cache_size") == -77
            assert database.pragma("synchronous") == 0
            assert database.execute_sql("PRAGMA database_list").fetchone()[2] == str(tmp_path / "test.db")
        assert (as_text(database), database._state) == (before, state)  # type: ignore[attr-defined]
        assert database.is_closed()
    assert [each.name for each in tmp_path.iterdir()] == ["test.db"]


def test_a_file_that_this_package_opened_is_put_aside_too(tmp_path: Path) -> None:
    database = open_database(tmp_path / "production.db")
    (tmp_path / "test.db").touch()
    with pointed_at(database, tmp_path / "test.db"):
        database.execute_sql("CREATE TABLE a (b)")
        assert database.execute_sql("PRAGMA synchronous").fetchone() == (0,)
    assert database.is_closed()
    assert database.get_tables() == []
    assert database.execute_sql("PRAGMA synchronous").fetchone() == (1,)
    database.close()


def test_connections_of_other_threads_meet_the_file_in_the_block_and_their_own_afterwards(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "production.db"))
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    answers = []

    def ask() -> None:
        database.execute_sql("CREATE TEMP TABLE mine (a)")  # only this connection has it
        answered.release()
        for _ in range(2):
            asked.acquire(timeout=TIMEOUT)
            answers.append(database.execute_sql("SELECT group_concat(name) FROM sqlite_temp_master").fetchone()[0])
            answers.append(database.execute_sql("PRAGMA database_list").fetchone()[2])
            answered.release()
        database.close()

    thread = threading.Thread(target=ask)
    thread.start()
    answered.acquire(timeout=TIMEOUT)
    with pointed_at(database, tmp_path / "test.db"):
        asked.release()
        answered.acquire(timeout=TIMEOUT)
    asked.release()
    thread.join()
    assert answers == [None, str(tmp_path / "test.db"), "mine", str(tmp_path / "production.db")]


def test_a_connection_that_the_application_left_open_is_closed(tmp_path: Path) -> None:
    database = PooledSqliteDatabase(str(tmp_path / "production.db"))
    database.connect()
    left = database.connection()
    with pointed_at(database, tmp_path / "test.db"):
        database.connect()
        used = database.connection()
        database.close()
    assert database.is_closed()
    for connection in (left, used):
        with pytest.raises(connection.ProgrammingError):
            connection.execute("SELECT 1")


def test_a_database_in_a_transaction_is_refused_and_stays_in_it(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "production.db"))
    with database.atomic():
        database.execute_sql("CREATE TABLE a (b)")
        with pytest.raises(TransactionOpen, match=r"production\.db: a transaction is open; commit it or roll"):
            pointed_at(database, tmp_path / "test.db").__enter__()
    assert database.get_tables() == ["a"]
    database.close()


def test_tables_in_memory_are_not_lost(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(":memory:")
    with pointed_at(database, tmp_path / "test.db"):  # nothing is lost of a closed one
        database.execute_sql("CREATE TABLE a (b)")
    assert database.database == ":memory:"
    database.execute_sql("CREATE TABLE mine (b)")
    with pytest.raises(ConfigurationError, match="in memory is connected and has tables, which would be lost; close"):
        pointed_at(database, tmp_path / "test.db").__enter__()
    assert database.get_tables() == ["mine"]


@pytest.mark.parametrize("kind", ["plain", "a pool", "not thread-safe"])
def test_a_transaction_that_is_left_open_is_rolled_back(tmp_path: Path, kind: str) -> None:
    database = KINDS[kind](tmp_path)
    with pointed_at(database, tmp_path / "test.db"):
        database.execute_sql("CREATE TABLE a (b)")
        database.transaction().__enter__()
        database.execute_sql("INSERT INTO a VALUES (1)")
    assert database.is_closed()
    assert not database.in_transaction()
    with pointed_at(database, tmp_path / "test.db"):
        assert database.execute_sql("SELECT count(*) FROM a").fetchone() == (0,)


def test_what_the_application_changes_in_the_block_ends_with_it(tmp_path: Path) -> None:
    database = KINDS["plain"](tmp_path)
    before = as_text(database)
    with pointed_at(database, tmp_path / "test.db"):
        database.pragma("cache_size", -5, permanent=True)
        database.init(str(tmp_path / "another.db"), pragmas={"foreign_keys": 1}, timeout=1, check_same_thread=False)
        database.connect()
    assert as_text(database) == before


def test_a_function_that_is_registered_in_the_block_stays_since_its_module_is_imported_once(tmp_path: Path) -> None:
    database = KINDS["plain"](tmp_path)
    with pointed_at(database, tmp_path / "test.db"):
        database.register_function(lambda: 7, "seven", 0)
    with pointed_at(database, tmp_path / "test.db"):
        assert database.execute_sql("SELECT seven()").fetchone() == (7,)


def test_an_attached_file_is_replaced_by_one_beside_the_file(tmp_path: Path) -> None:
    database = KINDS["plain"](tmp_path)
    database.attach(str(tmp_path / "second.db"), "second")
    database.attach(":memory:", "cache")
    with pointed_at(database, tmp_path / "test.db"):
        database.execute_sql("CREATE TABLE second.a (b)")
        files = {row[1]: row[2] for row in database.execute_sql("PRAGMA database_list")}
    assert files == {"main": f"{tmp_path}/test.db", "second": f"{tmp_path}/test.db.second", "cache": ""}
    assert not (tmp_path / "second.db").exists()


class Elsewhere(peewee.SqliteDatabase):
    def init(self, database: Any, *arguments: Any, **options: Any) -> None:
        super().init(f"{database}.main", *arguments, **options)


class Demanding(peewee.SqliteDatabase):
    def init(self, database: Any, *, region: str, **options: Any) -> None:  # type: ignore[override]
        super().init(f"{database}{region}", **options)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Elsewhere, "Elsewhere.init.. must use the path that it is given; it made .*test.db.main of .*test.db"),
        (lambda path: Demanding(path, region="eu"), "Demanding.init.. must accept a path alone, so that a test can"),
    ],
)
def test_a_class_that_cannot_be_pointed_is_refused_and_is_as_before(
    tmp_path: Path, make: Callable[[str], peewee.SqliteDatabase], says: str
) -> None:
    database = make(str(tmp_path / "production.db"))
    before = as_text(database)
    with pytest.raises(ConfigurationError, match=says):
        pointed_at(database, tmp_path / "test.db").__enter__()
    assert as_text(database) == before
    assert list(tmp_path.iterdir()) == []
