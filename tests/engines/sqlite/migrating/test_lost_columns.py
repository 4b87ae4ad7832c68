"""A migration that drops a column with values without declaring it is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import contents
from tests.support.migrations import python, sql, write
from usage_store import MigrationRunner, errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

HOST = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w, n, g AS (v || 'x')); INSERT INTO t (v, w) VALUES ('a', 1), ('b', 2);
CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT, /* a comment, */ last TEXT); INSERT INTO u VALUES (1, 'a', 'z');
CREATE TABLE empty (id INTEGER PRIMARY KEY, v TEXT);
"""
COPY = ("INSERT INTO new SELECT id, v FROM t", "DROP TABLE t", "ALTER TABLE new RENAME TO t")
MAKE = "CREATE TABLE new (id INTEGER PRIMARY KEY, v TEXT)"
REBUILT = """
migrator.migrate(migrator.rebuild_table('t', 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)', drop=['w', 'n']))
"""


def runner(database: peewee.SqliteDatabase, tmp_path: Path, source: str) -> MigrationRunner:
    return MigrationRunner(database, write(tmp_path / "own", {"001_change": source}))


LOSSES = [
    (sql("ALTER TABLE t DROP COLUMN w"), "t.w"),
    (sql("ALTER TABLE t DROP COLUMN w", "ALTER TABLE t ADD COLUMN w"), "t.w"),
    (sql("ALTER TABLE t DROP COLUMN w", "ALTER TABLE t ADD COLUMN other DEFAULT 1"), "t.w"),
    (sql("ALTER TABLE t RENAME COLUMN w TO z", "ALTER TABLE t DROP COLUMN z"), "t.w"),
    (sql("ALTER TABLE t RENAME TO z", "ALTER TABLE z DROP COLUMN w", "ALTER TABLE z RENAME TO t"), "t.w"),
    (sql("ALTER TABLE t RENAME TO z", "ALTER TABLE z DROP COLUMN w"), "t.w"),
    (sql(MAKE, *COPY), "t.w"),
    (
        sql("ALTER TABLE t RENAME TO o", MAKE.replace("new", "t"), "INSERT INTO t SELECT id, v FROM o", "DROP TABLE o"),
        "t.w",
    ),
    (python("migrator.migrate(migrator.drop_column('t', 'w'))"), "t.w"),
    (python("migrator.migrate(migrator.drop_column('u', 'last'))"), "u.last"),
    (python(REBUILT), "t.w"),
]


@pytest.mark.parametrize(("source", "column"), LOSSES)
def test_a_column_that_goes_with_values_is_named_and_rolled_back(
    database: peewee.SqliteDatabase, tmp_path: Path, source: str, column: str
) -> None:
    before = contents(database.connection())
    said = rf"{column} was dropped with its values; if that is meant, declare deletes = \('{column}',\)"
    with pytest.raises(errors.MigrationFailed, match=said):
        runner(database, tmp_path, source).migrate()
    assert contents(database.connection()) == before


@pytest.mark.parametrize(("source", "column"), LOSSES)
def test_a_column_that_is_declared_may_go_and_the_database_is_backed_up_before(
    database: peewee.SqliteDatabase, tmp_path: Path, source: str, column: str
) -> None:
    declared = f"deletes = ({column.upper()!r}, 't.n')\n" + source
    assert len(runner(database, tmp_path, declared).migrate()) == 1
    on_disk = database.database != ":memory:"
    assert len(list(tmp_path.glob("*.backup"))) == on_disk


@pytest.mark.parametrize(
    "source",
    [
        sql("ALTER TABLE empty DROP COLUMN v"),
        sql("ALTER TABLE t DROP COLUMN g"),
        sql("ALTER TABLE t RENAME COLUMN w TO z"),
        sql("ALTER TABLE t RENAME TO z"),
        sql("ALTER TABLE t ADD COLUMN z", "UPDATE t SET z = 1", "ALTER TABLE t DROP COLUMN z"),
        sql("ALTER TABLE t RENAME COLUMN w TO z", "ALTER TABLE t DROP COLUMN g"),
        python("migrator.migrate(migrator.rename_column('t', 'w', 'z'), migrator.add_not_null('t', 'z'))"),
    ],
)
def test_columns_without_values_and_renamed_ones_are_no_loss(
    database: peewee.SqliteDatabase, tmp_path: Path, source: str
) -> None:
    assert len(runner(database, tmp_path, source).migrate()) == 1


COPIED = (
    "CREATE TABLE new (id INTEGER PRIMARY KEY, word, v TEXT)",
    "INSERT INTO new SELECT id, w, v FROM t",
    "INSERT INTO new (word) VALUES (1)",
    *COPY[1:],
)


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE t DROP COLUMN n",),
        COPIED,
        ("ALTER TABLE t RENAME COLUMN w TO z", "ALTER TABLE t RENAME COLUMN n TO m", "ALTER TABLE t DROP COLUMN m"),
        ("SAVEPOINT s", "ALTER TABLE t DROP COLUMN w", "ROLLBACK TO s", "UPDATE t SET n = 1"),
    ],
)
def test_values_that_are_still_there_are_found_in_a_file(
    database: peewee.SqliteDatabase, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    run = runner(database, tmp_path, sql(*statements))
    if database.database == ":memory:":  # the state before cannot be read there, and any column counts as filled
        with pytest.raises(errors.MigrationFailed, match=r"t\.[nw] was dropped with its values"):
            run.migrate()
    else:
        assert len(run.migrate()) == 1


def test_values_that_a_new_column_holds_in_part_are_lost(database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    statements = [line.replace("id, w, v", "id, nullif(w, 2), v") for line in COPIED]
    with pytest.raises(errors.MigrationFailed, match=r"t\.w was dropped"):
        runner(database, tmp_path, sql(*statements)).migrate()


def test_where_a_long_transaction_keeps_readers_out_a_column_counts_as_filled(tmp_path: Path) -> None:
    database = peewee.SqliteDatabase(str(tmp_path / "app.db"), pragmas={"cache_size": 2})
    database.connection().executescript(HOST)
    fill = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i LIMIT 99) INSERT INTO u SELECT n + 9, '', "
    source = sql(fill + "hex(zeroblob(9000)) FROM i", "ALTER TABLE t DROP COLUMN n")
    with pytest.raises(errors.MigrationFailed, match=r"t\.n was dropped"):
        runner(database, tmp_path, source).migrate()
    assert len(runner(database, tmp_path, "deletes = ['t.n']\n" + source).migrate()) == 1
    database.close()


def test_down_may_drop_a_column(database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    source = sql("ALTER TABLE t ADD COLUMN z", "UPDATE t SET z = 1", down=["ALTER TABLE t DROP COLUMN z"])
    run = runner(database, tmp_path, source)
    run.migrate()
    assert len(run.rollback()) == 1


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a\x00b", "\udce4".encode("utf-8", "surrogatepass")])
def test_texts_that_are_not_utf_8_are_compared_too(
    database: peewee.SqliteDatabase, tmp_path: Path, text: bytes
) -> None:
    database.execute_sql("UPDATE t SET w = CAST(? AS TEXT)", (text,))
    run = runner(database, tmp_path, sql(*COPIED))
    if database.database != ":memory:":
        assert len(run.migrate()) == 1
