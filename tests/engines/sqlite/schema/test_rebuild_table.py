"""The rebuild of a table: changes that no operation covers, and what a rebuild must keep or refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import selected as rows
from tests.support.driver import sqlite3
from tests.support.programs import TIMEOUT
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
from usage_store.engines.sqlite.schema.schema_operations import migrator_for
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick


@pytest.fixture
def database(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    database = open_database(tmp_path / "rebuild.db")
    database.pragma("foreign_keys", 0)
    yield database
    database.close()


def run(database: peewee.SqliteDatabase, script: str) -> None:
    database.connection().executescript(f"BEGIN;{script};COMMIT")


def schema(database: peewee.SqliteDatabase) -> list[Any]:
    return rows(database, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")


def test_rowids_that_no_column_holds_stay(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (rowid TEXT, a INT); INSERT INTO t (oid, a) VALUES (-7, 1), (3, 2), (9000000000, 3)")
    rebuild(database, "t", "CREATE TABLE t (rowid TEXT, a INT, OID INT)")
    assert rows(database, "SELECT _rowid_, a FROM t") == [(-7, 1), (3, 2), (9000000000, 3)]


def test_rowids_become_the_new_integer_primary_key(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a); INSERT INTO t (rowid, a) VALUES (5, 'x'), (8, 'y')")
    rebuild(database, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
    assert rows(database, "SELECT id, a FROM t") == [(5, "x"), (8, "y")]
    assert rows(database, "SELECT name, seq FROM sqlite_sequence") == [("t", 8)]


def test_an_integer_primary_key_that_is_a_text_key_from_now_on_keeps_the_rowids(
    database: peewee.SqliteDatabase,
) -> None:
    run(database, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (5, 'x'), (8, 'y')")
    rebuild(database, "t", "CREATE TABLE t (id TEXT PRIMARY KEY, a)")
    assert rows(database, "SELECT rowid, id, a FROM t") == [(5, "5", "x"), (8, "8", "y")]


def test_a_key_that_becomes_the_rowid_keeps_its_values(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (id INT PRIMARY KEY, a); INSERT INTO t VALUES (50, 'x'), (20, 'y')")
    rebuild(database, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    assert rows(database, "SELECT rowid, id, a FROM t") == [(20, 20, "y"), (50, 50, "x")]


def test_strict_and_without_rowid_stay(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE t (a TEXT COLLATE NOCASE, b ANY, c BLOB, PRIMARY KEY (a DESC, b))"
        " STRICT, /* fast */ WITHOUT ROWID;"
        "INSERT INTO t VALUES ('x', 1, x'00'), ('y', '1', NULL); ANALYZE",
    )
    migrator = migrator_for(database)
    migrator.migrate(migrator.add_constraint("t", "small", peewee.Check("length(c) < 5")))
    ((sql,),) = rows(database, "SELECT sql FROM sqlite_master WHERE name = 't'")
    assert sql == (
        'CREATE TABLE "t" (a TEXT COLLATE NOCASE, b ANY, c BLOB, PRIMARY KEY (a DESC, b),'
        ' CONSTRAINT "small" CHECK (length(c) < 5)) STRICT, /* fast */ WITHOUT ROWID'
    )
    assert rows(database, "SELECT a, b, typeof(b), c FROM t") == [("y", "1", "text", None), ("x", 1, "integer", b"\0")]
    assert rows(database, "SELECT tbl, idx FROM sqlite_stat1") == [("t", "t")]
    with pytest.raises(ChangeRefused, match=r"unknown datatype for t\.c"):
        migrator.migrate(migrator.alter_column_type("t", "c", peewee.DecimalField()))


def test_values_keep_their_storage_class_to_the_byte(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a, n NUMERIC, r REAL, x TEXT)")
    values = [("1", 1, 1.0, "1"), (1, "1e3x", 2, "\0x"), (b"1", None, None, ""), (9.5, 2**62, 1e300, "é")]
    for value in values:
        database.execute_sql("INSERT INTO t VALUES (?, ?, ?, ?)", value)
    quoted = "SELECT quote(a), quote(n), quote(r), hex(x), typeof(n), typeof(r) FROM t"
    before = rows(database, quoted)
    rebuild(database, "t", "CREATE TABLE t (a, n NUMERIC, r REAL, x TEXT, CHECK (1))")
    assert rows(database, quoted) == before


def test_the_counter_stays_above_rows_that_are_gone_and_in_an_empty_table(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a); INSERT INTO t VALUES (77, 1); DELETE FROM t;"
        "CREATE TABLE other (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO other VALUES (5)",
    )
    rebuild(database, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INT)")
    assert rows(database, "SELECT name, seq FROM sqlite_sequence ORDER BY seq") == [("other", 5), ("t", 77)]


def test_analyze_figures_stay_also_those_of_indexes_that_sqlite_numbers_anew(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE t (a UNIQUE, b UNIQUE, c); CREATE INDEX i ON t(c); INSERT INTO t VALUES (1, 2, 3), (4, NULL, 3);"
        "ANALYZE; UPDATE sqlite_stat1 SET stat = '1000 7' WHERE idx = 'sqlite_autoindex_t_2'",
    )
    rebuild(database, "t", "CREATE TABLE t (c, b UNIQUE, a)")
    assert rows(database, "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY idx") == [
        ("t", "i", "2 2"),
        ("t", "sqlite_autoindex_t_1", "1000 7"),
    ]


def test_new_columns_get_the_given_sql_or_their_default(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, seconds TEXT); INSERT INTO t VALUES (1, 'a b', '2.5')",
    )
    migrator = migrator_for(database)
    migrator.migrate(
        migrator.rebuild_table(
            "T",
            'CREATE TABLE IF NOT EXISTS main.t (id INTEGER PRIMARY KEY, first TEXT, "last" TEXT, ms INTEGER NOT NULL,'
            " made TEXT DEFAULT (upper('now')), twice AS (ms * 2), source TEXT) -- new",
            {
                "first": "substr(name, 1, 1)",
                "LAST": "substr(name, 3)",
                "ms": peewee.SQL("t.seconds * ?", [1000]),
                "source": peewee.Value("it's"),
            },
        )
    )
    assert rows(database, "SELECT * FROM t") == [(1, "a", "b", 2500, "NOW", 5000, "it's")]


def test_values_go_only_when_told(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a, b, c AS (a)); INSERT INTO t VALUES (1, 2)")
    before = schema(database)
    for text in ("CREATE TABLE t (a)", "CREATE TABLE t (a, renamed)", "CREATE TABLE t (a, b AS (a))"):
        with pytest.raises(ChangeRefused, match="the values of column 'b' would be lost"):
            rebuild(database, "t", text)
    with pytest.raises(ChangeRefused, match="the values of column 'b' would be lost"):
        rebuild(database, "t", "CREATE TABLE t (a, b)", columns={"b": "a"})
    assert schema(database) == before

    rebuild(database, "t", "CREATE TABLE t (a)", drop=["B"])
    assert rows(database, "SELECT * FROM t") == [(1,)]


def test_a_column_that_the_schema_uses_does_not_go(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        'CREATE TABLE t (a, b, c); CREATE INDEX i ON t ("b"); CREATE VIEW v AS SELECT b FROM t; CREATE TABLE o (x);'
        "CREATE TRIGGER r AFTER INSERT ON o BEGIN UPDATE t SET b = 1; END; INSERT INTO t VALUES (1, 2, 3)",
    )
    before = schema(database)
    with pytest.raises(ChangeRefused, match="t: column 'b' cannot be dropped; in use by index i, view v, trigger r"):
        rebuild(database, "t", "CREATE TABLE t (a, c)", drop=["b"])
    assert (schema(database), rows(database, "SELECT * FROM t")) == (before, [(1, 2, 3)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CREATE TABLE other (a, b)",
        "CREATE TEMP TABLE t (a, b)",
        "CREATE TABLE t AS SELECT (1) AS a, 2 AS b",
        "CREATE TABLE t (a, b, CHECK (nope))",
        "DROP TABLE t",
    ],
)
def test_a_definition_that_is_not_one_of_the_table_is_refused(database: peewee.SqliteDatabase, text: str) -> None:
    run(database, "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)")
    before = schema(database)
    with pytest.raises(ChangeRefused, match=r"must read CREATE TABLE|does not accept its new definition"):
        rebuild(database, "t", text)
    assert (schema(database), rows(database, "SELECT * FROM t")) == (before, [(1, 2)])


def test_a_value_for_a_column_that_is_not_there_is_refused(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a)")
    with pytest.raises(ChangeRefused, match="'nope' in `columns` is no column"):
        rebuild(database, "t", "CREATE TABLE t (a, b AS (a))", columns={"nope": "1"})
    with pytest.raises(ChangeRefused, match="'b' in `columns` is no column of the new table, or a generated one"):
        rebuild(database, "t", "CREATE TABLE t (a, b AS (a))", columns={"b": "1"})


def test_with_foreign_keys_on_it_is_refused_and_no_child_is_deleted(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p ON DELETE CASCADE);"
        "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)",
    )
    database.pragma("foreign_keys", 1)
    for _ in range(2):
        with pytest.raises(ChangeRefused, match="foreign keys are on"), database.atomic():
            rebuild(database, "p", "CREATE TABLE p (id INTEGER PRIMARY KEY, a)")
    assert rows(database, "SELECT count(*) FROM c") == [(1,)]

    migrator = migrator_for(database)
    with migrator.migration_context():  # playhouse's way to switch them off
        migrator.migrate(migrator.add_constraint("p", "positive", peewee.Check("id > 0")))
    assert rows(database, "SELECT count(*) FROM c") == [(1,)]
    assert database.pragma("foreign_keys") == 1
    assert not violations(database)


def test_a_failure_half_way_leaves_the_open_transaction_as_it_was(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a, b); CREATE INDEX i ON t(b); INSERT INTO t VALUES (1, 1), (1, 2)")
    with database.atomic("IMMEDIATE"):
        database.execute_sql("INSERT INTO t VALUES (1, 3)")
        before = schema(database)
        with pytest.raises(ChangeRefused, match=r"UNIQUE constraint failed: t\.a"):
            rebuild(database, "t", "CREATE TABLE t (a UNIQUE, b)")
        assert schema(database) == before
    assert rows(database, "SELECT count(*) FROM t") == [(3,)]
    assert database.pragma("legacy_alter_table") == 0


def test_a_schema_that_is_broken_elsewhere_is_left_alone(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        "CREATE TABLE t (a); CREATE TABLE gone (x); CREATE VIEW v AS SELECT x FROM gone; DROP TABLE gone;"
        "CREATE VIEW over AS SELECT a FROM t; INSERT INTO t VALUES (1)",
    )
    rebuild(database, "t", "CREATE TABLE t (a NOT NULL)")
    assert rows(database, "SELECT a FROM over") == [(1,)]
    with pytest.raises(ChangeRefused, match="SQLite cannot find out what uses column 'a': error in view v"):
        rebuild(database, "t", "CREATE TABLE t (b)", columns={"b": "a"})


def test_names_that_are_taken_are_not_used(database: peewee.SqliteDatabase) -> None:
    run(database, "CREATE TABLE t (a); CREATE TABLE T_rebuilt (x); INSERT INTO t_rebuilt VALUES (5)")
    rebuild(database, "t", "CREATE TABLE t (a NOT NULL)")
    assert rows(database, "SELECT x FROM t_rebuilt") == [(5,)]


@pytest.mark.parametrize("table", ["hidden", "only_temporary", "notes", "notes_data", "missing", "sqlite_master"])
def test_only_an_ordinary_table_is_rebuilt(database: peewee.SqliteDatabase, table: str) -> None:
    run(database, "CREATE TABLE hidden (a); CREATE TEMP TABLE hidden (a); CREATE TEMP TABLE only_temporary (a)")
    try:
        run(database, "CREATE VIRTUAL TABLE notes USING fts5(a)")
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no FTS5")
    with pytest.raises(ChangeRefused, match=table):
        rebuild(database, table, f"CREATE TABLE {table} (a)")


def test_the_reason_names_the_bytes_when_the_disk_is_too_small(
    database: peewee.SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database, "CREATE TABLE t (a)")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ChangeRefused, match=f"rebuilding t needs [0-9,]+ bytes free in {tmp_path}; there are 1,000$"):
        rebuild(database, "t", "CREATE TABLE t (a NOT NULL)")


SMALL_DISK = """
import sys
import peewee
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ChangeRefused
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
database = open_database(sys.argv[1] + "/small.db")
database.pragma("foreign_keys", 0)
database.execute_sql("CREATE TABLE big (a)")
database.execute_sql("CREATE TABLE little (a)")
database.execute_sql("INSERT INTO big VALUES (randomblob(4000000))")
database.execute_sql("INSERT INTO little VALUES (1)")
database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
rebuild(database, "little", "CREATE TABLE little (a NOT NULL)")
try:
    rebuild(database, "big", "CREATE TABLE big (a NOT NULL)")
except ChangeRefused as error:
    print(error)
print(database.execute_sql("SELECT length(a) FROM big").fetchone())
database.close()
"""


def test_a_table_that_does_not_fit_on_the_disk_twice_is_refused_before_it_is_touched(tmp_path: Path) -> None:
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        if ("ENABLE_DBSTAT_VTAB",) not in database.execute_sql("PRAGMA compile_options").fetchall():
            pytest.skip("this SQLite has no dbstat, so it knows the size of the whole only")
    command = f'mount -t tmpfs -o size=8m none "{tmp_path}" && exec "{sys.executable}" -c "$0" "{tmp_path}"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", command, SMALL_DISK],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=TIMEOUT,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no file system of its own here: {done.stderr.strip()}")
    refusal, left = done.stdout.splitlines()
    assert refusal.startswith("rebuilding big needs 8,")
    assert left == "(4000000,)"
