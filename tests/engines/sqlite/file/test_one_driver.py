"""A process uses one SQLite library per file: nothing here opens a file with another driver than the first one."""

from __future__ import annotations

import ast
from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import rows
from tests.support.migrations import python, runner_of, write
from tests.support.programs import ROOT, await_ready, finish, run_python, start
from usage_store.engines.sqlite.connection.driver import check_sqlite, driver_errors, sqlite3
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.errors import ConfigurationError, DatabaseUnreadable
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYTHING = """
import sqlite3, sys

def refuse(*args, **options):
    raise AssertionError(f"the standard library opens {args}")

import peewee
assert peewee.sqlite3 is not sqlite3, "pysqlite3 is older than the standard library's SQLite, so peewee leaves it"
sqlite3.connect = sqlite3.dbapi2.connect = sqlite3.Connection = refuse

import usage_store as store
from usage_store.cli.main import main
from usage_store.migrate.rehearse import rehearse
from usage_store.testing import dump_usage, load_usage, seed_usage

database = store.init_database("usage.db")
seed_usage(database, snapshots=200, days=60)
assert store.maintain(retention_days=50).compacted
assert store.rollback_migrations()
assert rehearse(store.get_migration_runner()).ok
assert store.run_migrations()
assert store.validate_database()
dump_usage(database, "dump.json")
load_usage(database, "dump.json")
database.close()
(backup,) = __import__("glob").glob("usage.db.v3.*.backup")
for words in ("status", "check", "validate", "plan", "backup", "rollback", "rehearse", "log", f"restore {backup}"):
    assert main(["migrate", "--database", "usage.db", *words.split()]) == 0, words
assert main(["migrate", "--database", "other.db"]) == 0
assert main(["maintain", "--database", "usage.db"]) == 0
assert main(["convert", "usage.db"]) == 0
"""

WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
print("ready", flush=True)
import threading
stop = threading.Event()
threading.Thread(target=lambda: (input(), stop.set()), daemon=True).start()
confirmed = 0
while not stop.is_set():
    connection.execute("INSERT INTO log (t) VALUES (?)", ("x" * 200,))
    confirmed += 1
print(confirmed)
"""


def imported(tree: ast.Module) -> Iterator[str]:
    """List the modules that a module imports at run time; imports only for types are left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_one_module_alone_knows_a_driver() -> None:
    drivers = {"sqlite3", "peewee.sqlite3", "pysqlite3", "sqlcipher3", "apsw"}
    knowing = [
        path.name
        for path in (ROOT / "usage_store").rglob("*.py")
        if drivers.intersection(imported(ast.parse(path.read_text(encoding="utf-8"))))
    ]
    assert knowing == ["driver.py"]
    assert sqlite3 is vars(peewee)["sqlite3"]


def test_where_peewee_takes_pysqlite3_the_standard_librarys_sqlite_opens_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pysqlite3", reason="needs pysqlite3-binary")
    done = run_python("-c", EVERYTHING, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_migrations_that_count_rows_beside_a_writer_leave_every_confirmed_row_and_a_sound_file(tmp_path: Path) -> None:
    rest = """
        db.execute_sql("DELETE FROM users WHERE id % 30 = {0}")
        db.execute_sql("UPDATE users SET name = name || 'y'")
        db.execute_sql("CREATE TABLE t{0} (id INTEGER PRIMARY KEY)")
    """
    first = python("""
        db.execute_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute_sql("CREATE TABLE log (id INTEGER PRIMARY KEY, t TEXT)")
        for _ in range(20000):
            db.execute_sql("INSERT INTO users (name) VALUES ('abcdefghijklmnop')")
    """)
    files = {f"{n:03}_more": "deletes = ('users',)\n" + python(rest.format(n)) for n in range(2, 8)}
    own = write(tmp_path / "own", {"001_first": first, **files})
    path = tmp_path / "app.db"
    with runner_of(path, own, wait=60, backup=False) as runner:
        runner.migrate(1)
        writer = start(WRITE, path, cwd=tmp_path)
        await_ready(writer)
        assert len(runner.migrate()) == 6
        done = finish(writer)
    assert done.code == 0, done.err
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT count(*) FROM log") == [(int(done.out),)]
    assert rows(path, "SELECT count(*) FROM sqlite_master WHERE name GLOB 't[0-9]'") == [(6,)]


def test_what_a_driver_raises_while_rows_are_fetched_is_one_of_its_errors() -> None:
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        two_rows = "SELECT 'a' UNION ALL SELECT CAST(x'ff' AS TEXT)"  # since pysqlite3 fetches the first at once
        cursor = database.execute_sql(two_rows)
        with pytest.raises(driver_errors()) as caught:
            cursor.fetchall()
        assert not isinstance(caught.value, peewee.PeeweeException)
        with pytest.raises(DatabaseUnreadable, match="app: holds text that is not UTF-8"), readable_errors("app"):
            database.execute_sql(two_rows).fetchall()


def test_the_version_that_counts_is_that_of_the_connection(tmp_path: Path) -> None:
    old = peewee.SqliteDatabase(str(tmp_path / "app.db"))
    old.register_function(lambda: "3.37.2", "sqlite_version", 0)
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.37\.2 is too old: 3\.38 or newer is needed"):
        MigrationRunner(old).migrate()
    assert old.is_closed()
    assert (tmp_path / "app.db").stat().st_size == 0
    for version in ("3.38.0", "3.100", "4.0.1"):
        check_sqlite(version)
