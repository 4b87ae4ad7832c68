"""Every schema operation, on a table that has everything: what it says changes, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from usage_store.connection import open_database
from usage_store.errors import ChangeRefused
from usage_store.migrate.catalog import read_catalog
from usage_store.migrate.guard import Guard, violations
from usage_store.migrate.operations import LosslessMigrator, migrator_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.driver import sqlite3

    Operation = Callable[[LosslessMigrator], Any]

pytestmark = pytest.mark.quick

TORTURE = """CREATE TABLE Torture ( /* every, (feature) at once */
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key; CHECK (not, this)
  "Mixed ""Case"", Name" TEXT COLLATE NOCASE NOT NULL DEFAULT 'it''s,  two  spaces
and a line',
  [open] TEXT DEFAULT '(' CHECK ([open] <> ')' AND length([open]) < 10),
  `amount` DECIMAL(10, 2) CONSTRAINT amount_range CHECK (amount BETWEEN -1 AND (max(1, 2) * 1000)) DEFAULT -0.5,
  made INTEGER DEFAULT (unixepoch()),
  parent INTEGER CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,
  "next" INTEGER REFERENCES "Torture"(id) ON DELETE CASCADE,
  a INTEGER, b TEXT,
  doubled INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL,
  kept TEXT AS (b || ', ') STORED,
  spare BLOB, -- goes, when told
  "größe" NULL CHECK ("größe" > 0), -- small, (or not)
  maybe TEXT CONSTRAINT there NOT NULL ON CONFLICT ROLLBACK DEFAULT''CHECK(maybe<>'no') -- the last one, really
  , CONSTRAINT "pair" FOREIGN KEY (a, b) REFERENCES pairs(x, y) ON DELETE CASCADE
  , CONSTRAINT in_list CHECK (b IN ('x', 'y)', 'z,(') OR (b IS NULL))
    UNIQUE (a, b), CHECK (torture.a <> 13)
)"""
OTHERS = """
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE pairs (x INTEGER, y TEXT, PRIMARY KEY (x, y)) WITHOUT ROWID;
CREATE TABLE children (id INTEGER PRIMARY KEY, torture INTEGER REFERENCES torture(id) ON DELETE CASCADE);
CREATE TABLE log (what TEXT);
CREATE INDEX t_partial ON Torture(made DESC) WHERE parent IS NOT NULL AND b <> ')';
CREATE INDEX t_expression ON torture(length(b) COLLATE BINARY, "Mixed ""Case"", Name" COLLATE RTRIM DESC);
CREATE UNIQUE INDEX "t unique" ON "Torture"([id], kept);
CREATE TRIGGER t_insert AFTER INSERT ON TORTURE BEGIN INSERT INTO log VALUES ('made, ' || new.b); END;
CREATE TRIGGER t_update BEFORE UPDATE OF a ON Torture WHEN new.a = 99 BEGIN SELECT RAISE(ABORT, 'not (99)'); END;
CREATE TRIGGER c_insert AFTER INSERT ON children BEGIN UPDATE torture SET made = 1 WHERE id = new.torture; END;
CREATE VIEW v AS SELECT id, b AS b, "Mixed ""Case"", Name" AS name FROM torture;
CREATE VIEW w AS SELECT name FROM v;
CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN INSERT INTO torture (b, maybe) VALUES (new.b, ''); END;
CREATE TEMP TRIGGER t_temporary AFTER DELETE ON Torture BEGIN INSERT INTO log (what) VALUES ('gone'); END;
INSERT INTO parents VALUES (1), (2);
INSERT INTO pairs VALUES (1, 'x'), (2, 'y)'), (7, 'x');
INSERT INTO torture (id, a, b, parent, "next", amount, maybe) VALUES
  (5, 1, 'x', 1, 5, 1.25, ''), (9, 2, 'y)', 2, 5, 2, 'm');
INSERT INTO torture (id, b, spare, made) VALUES (40, NULL, x'00ff', 7), (90, NULL, NULL, 8);
DELETE FROM torture WHERE id = 90;
INSERT INTO children VALUES (1, 5), (2, 9);
ANALYZE;
"""
State = dict[str, Any]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[peewee.SqliteDatabase]:
    database: peewee.SqliteDatabase = open_database(tmp_path / "torture.db")
    database.pragma("foreign_keys", 0)
    connection: sqlite3.Connection = database.connection()
    connection.executescript(f"BEGIN;{TORTURE};{OTHERS};COMMIT")
    yield database
    database.close()


def state(database: peewee.SqliteDatabase) -> State:
    """Everything that the database holds, the schema's texts by name."""
    found: State = {}
    for schema in ("sqlite_master", "sqlite_temp_master"):
        for name, kind, sql in database.execute_sql(f"SELECT name, type, sql FROM {schema}").fetchall():
            found[f"{schema} {kind} {name}"] = sql
            if kind == "table":
                rowid = "" if "WITHOUT ROWID" in sql or name.startswith("sqlite_") else "rowid, "
                found[f"rows {name}"] = sorted(
                    database.execute_sql(f'SELECT {rowid}* FROM "{name}"').fetchall(), key=repr
                )
    return found


def difference(before: State, after: State) -> dict[str, tuple[Any, Any]]:
    return {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)}


def run(database: peewee.SqliteDatabase, operation: Operation) -> None:
    """Run an operation as the runner does: in a transaction, watched."""
    migrator = migrator_for(database)
    guard = Guard()
    with database.atomic("IMMEDIATE"), guard.watching(database.connection()):
        migrator.migrate(operation(migrator))
    assert guard.refused is None


def sound(database: peewee.SqliteDatabase) -> None:
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not violations(database)
    assert database.pragma("legacy_alter_table") == 0
    read_catalog(database)
    database.close()
    database.connect()  # the schema is read from the file again
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]


TABLE = "sqlite_master table Torture"

# What each operation replaces in the text of the table, once and exactly.
REBUILDS: dict[str, tuple[Operation, str, str]] = {
    "add_constraint": (
        lambda m: m.add_constraint("TORTURE", "a rule", peewee.Check("length(spare) < 100 AND ',)' <> b")),
        "CHECK (a <> 13)",
        """CHECK (a <> 13), CONSTRAINT "a rule" CHECK (length(spare) < 100 AND ',)' <> b)""",
    ),
    "add_constraint with values": (
        lambda m: m.add_constraint("torture", "rule", peewee.SQL("CHECK (b <> ? OR made > ?)", ["it's ?", 5])),
        "CHECK (a <> 13)",
        """CHECK (a <> 13), CONSTRAINT "rule" CHECK (b <> 'it''s ?' OR made > 5)""",
    ),
    "drop_constraint of the table": (
        lambda m: m.drop_constraint("torture", "IN_LIST"),
        "  , CONSTRAINT in_list CHECK (b IN ('x', 'y)', 'z,(') OR (b IS NULL))\n    UNIQUE (a, b)",
        "  ,\n    UNIQUE (a, b)",
    ),
    "drop_constraint with its comma": (
        lambda m: m.drop_constraint("torture", "pair"),
        '  , CONSTRAINT "pair" FOREIGN KEY (a, b) REFERENCES pairs(x, y) ON DELETE CASCADE\n',
        "\n",
    ),
    "drop_constraint of a column": (
        lambda m: m.drop_constraint("torture", "amount_range"),
        " CONSTRAINT amount_range CHECK (amount BETWEEN -1 AND (max(1, 2) * 1000)) DEFAULT",
        " DEFAULT",
    ),
    "drop_constraint of a foreign key": (
        lambda m: m.drop_constraint("torture", "to_parent"),
        """ CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,""",
        ",",
    ),
    "add_unique": (
        lambda m: m.add_unique("torture", "B", "id"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "uniq_B_id" UNIQUE ("B", "id")',
    ),
    "add_foreign_key_constraint": (
        lambda m: m.add_foreign_key_constraint("torture", "größe", "parents", "id"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "fk_torture_größe_refs_parents" FOREIGN KEY ("größe") REFERENCES "parents" ("id")',
    ),
    "add_foreign_key_constraint with actions": (
        lambda m: m.add_foreign_key_constraint("torture", "parent", "parents", "id", None, "CASCADE", "key"),
        "CHECK (a <> 13)",
        'CHECK (a <> 13), CONSTRAINT "key" FOREIGN KEY ("parent") REFERENCES "parents" ("id") ON UPDATE CASCADE',
    ),
    "drop_foreign_key_constraint": (
        lambda m: m.drop_foreign_key_constraint("torture", "NEXT"),
        '"next" INTEGER REFERENCES "Torture"(id) ON DELETE CASCADE,',
        '"next" INTEGER,',
    ),
    "drop_foreign_key_constraint, deferred": (
        lambda m: m.drop_foreign_key_constraint("torture", "Parent"),
        """parent INTEGER CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,""",
        "parent INTEGER,",
    ),
    "alter_column_type": (
        lambda m: m.alter_column_type("torture", "AMOUNT", peewee.DecimalField(12, 3)),
        "`amount` DECIMAL(10, 2) CONSTRAINT",
        "`amount` DECIMAL(12, 3) CONSTRAINT",
    ),
    "alter_column_type of none": (
        lambda m: m.alter_column_type("torture", "größe", peewee.BlobField()),
        '"größe" NULL',
        '"größe" BLOB NULL',
    ),
    "add_column_default": (
        lambda m: m.add_column_default("torture", "spare", "it's, (new)"),
        "spare BLOB,",
        "spare BLOB DEFAULT 'it''s, (new)',",
    ),
    "add_column_default in place of one": (
        lambda m: m.add_column_default("torture", 'mixed "case", name', "lower('X')"),
        "DEFAULT 'it''s,  two  spaces\nand a line',",
        "DEFAULT (lower('X')),",
    ),
    "add_column_default in place of a signed one": (
        lambda m: m.add_column_default("torture", "amount", 7),
        "DEFAULT -0.5",
        "DEFAULT 7",
    ),
    "add_column_default in place of one without spaces": (
        lambda m: m.add_column_default("torture", "maybe", peewee.SQL("CURRENT_DATE")),
        "DEFAULT''CHECK",
        "DEFAULT CURRENT_DATE CHECK",
    ),
    "drop_column_default": (
        lambda m: m.drop_column_default("torture", "open"),
        "[open] TEXT DEFAULT '(' CHECK",
        "[open] TEXT CHECK",
    ),
    "drop_column_default without spaces": (
        lambda m: m.drop_column_default("torture", "maybe"),
        "ROLLBACK DEFAULT''CHECK",
        "ROLLBACK CHECK",
    ),
    "add_not_null": (lambda m: m.add_not_null("torture", "MADE"), "made INTEGER", "made INTEGER NOT NULL"),
    "drop_not_null": (
        lambda m: m.drop_not_null("torture", "maybe"),
        " CONSTRAINT there NOT NULL ON CONFLICT ROLLBACK DEFAULT''",
        " DEFAULT''",
    ),
}


def edited(old: str, new: str) -> str:
    """The text of the table after a rebuild: RENAME quotes its name, and its own name before a column goes."""
    text = TORTURE.replace("TABLE Torture (", 'TABLE "Torture" (').replace("torture.a", "a")
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.parametrize("name", REBUILDS)
def test_a_rebuild_changes_only_what_the_operation_says(database: peewee.SqliteDatabase, name: str) -> None:
    operation, old, new = REBUILDS[name]
    before = state(database)

    run(database, operation)

    assert difference(before, state(database)) == {TABLE: (TORTURE, edited(old, new))}
    sound(database)


@pytest.mark.parametrize("name", REBUILDS)
def test_after_a_rebuild_triggers_views_cascades_and_the_counter_work(
    database: peewee.SqliteDatabase, name: str
) -> None:
    run(database, REBUILDS[name][0])

    database.pragma("foreign_keys", 1)
    database.execute_sql("INSERT INTO v (b) VALUES ('x')")
    assert database.execute_sql("SELECT max(id) FROM torture").fetchone() == (91,)  # 90 was deleted
    assert ("made, x",) in database.execute_sql("SELECT what FROM log").fetchall()
    with pytest.raises(peewee.IntegrityError, match="not \\(99\\)"):
        database.execute_sql("UPDATE torture SET a = 99")
    database.execute_sql("INSERT INTO children VALUES (3, 40)")
    assert database.execute_sql("SELECT made FROM torture WHERE id = 40").fetchone() == (1,)
    assert database.execute_sql("SELECT count(*) FROM w").fetchone() == (4,)
    database.execute_sql("DELETE FROM torture WHERE id = 9")
    assert database.execute_sql("SELECT id FROM children").fetchall() == [(1,), (3,)]
    assert ("gone",) in database.execute_sql("SELECT what FROM log").fetchall()


def test_alter_column_type_converts_by_affinity_and_by_the_given_cast(database: peewee.SqliteDatabase) -> None:
    run(database, lambda m: m.drop_constraint("torture", "amount_range"))
    run(database, lambda m: m.alter_column_type("torture", "amount", peewee.TextField()))
    assert database.execute_sql("SELECT amount FROM torture ORDER BY id").fetchall() == [("1.25",), ("2",), ("-0.5",)]

    run(database, lambda m: m.alter_column_type("torture", "amount", peewee.IntegerField(), "amount * 100"))
    assert database.execute_sql("SELECT amount FROM torture ORDER BY id").fetchall() == [(125,), (200,), (-50,)]
    assert "`amount` INTEGER DEFAULT -0.5" in state(database)[TABLE]
    sound(database)


class Parent(peewee.Model):
    id = peewee.AutoField()

    class Meta:
        table_name = "parents"


COLUMNS: dict[str, tuple[Any, str, Any]] = {
    "nullable": (peewee.IntegerField(null=True), '"added" INTEGER', None),
    "not null": (peewee.TextField(default="it's"), '"added" TEXT NOT NULL', "it's"),
    "not null, called default": (peewee.IntegerField(default=lambda: 3), '"added" INTEGER NOT NULL', 3),
    "not null, converted": (peewee.BooleanField(default=False), '"added" INTEGER NOT NULL', 0),
    "default of the database": (
        peewee.IntegerField(null=True, constraints=[peewee.SQL("DEFAULT 5")]),
        '"added" INTEGER DEFAULT 5',
        5,
    ),
    "default of the database that is an expression": (
        peewee.IntegerField(null=True, constraints=[peewee.SQL("DEFAULT (abs(-4))")]),
        '"added" INTEGER DEFAULT (abs(-4))',
        4,
    ),
    "stored": (
        peewee.TextField(null=True, constraints=[peewee.SQL("AS (coalesce(b, 'none')) STORED UNIQUE")]),
        """"added" TEXT AS (coalesce(b, 'none')) STORED UNIQUE""",
        ...,
    ),
    "foreign key": (
        peewee.ForeignKeyField(
            Parent, field=Parent.id, null=True, on_delete="CASCADE", deferrable="INITIALLY DEFERRED", index=False
        ),
        '"added" INTEGER REFERENCES "parents" ("id") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED',
        None,
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_add_column_fills_the_rows_and_leaves_the_rest(database: peewee.SqliteDatabase, name: str) -> None:
    field, definition, value = COLUMNS[name]
    before = state(database)

    run(database, lambda m: m.add_column("TORTURE", "added", field))

    changed = difference(before, state(database))
    changed.pop("sqlite_master index sqlite_autoindex_Torture_2", None)  # of a UNIQUE that is added
    changed.pop("rows sqlite_stat4", None)  # a build with SQLITE_ENABLE_STAT4
    changed.pop("rows sqlite_stat1", None)  # which then has the first number, so the other's figures go by the second
    assert changed.keys() == {TABLE, "rows Torture"}
    after = changed[TABLE][1]
    assert after.replace('TABLE "Torture"', "TABLE Torture").replace("torture.a", "a") == TORTURE.replace(
        " -- the last one, really\n  ,", f" -- the last one, really\n  , {definition},"
    ).replace("torture.a", "a")
    assert [row[0] for row in database.execute_sql("SELECT added FROM torture ORDER BY id").fetchall()] == (
        ["x", "y)", "none"] if value is ... else [value] * 3
    )
    sound(database)


def test_add_column_makes_the_index_of_its_field(database: peewee.SqliteDatabase) -> None:
    run(
        database,
        lambda m: m.add_column("torture", "mother", peewee.ForeignKeyField(Parent, field=Parent.id, null=True)),
    )
    assert 'ON "torture" ("mother")' in state(database)["sqlite_master index torture_mother"]

    run(database, lambda m: m.add_column("torture", "token", peewee.TextField(null=True, unique=True)))
    assert state(database)["sqlite_master index torture_token"].startswith("CREATE UNIQUE INDEX")
    sound(database)


def test_add_column_of_not_null_needs_a_default(database: peewee.SqliteDatabase) -> None:
    with pytest.raises(ValueError, match="added is not null but has no default"):
        run(database, lambda m: m.add_column("torture", "added", peewee.TextField()))
    field = peewee.TextField(constraints=[peewee.SQL("DEFAULT 'x'")])
    run(database, lambda m: m.add_column("torture", "added", field, allow_not_null=True))
    assert database.execute_sql("SELECT DISTINCT added FROM torture").fetchall() == [("x",)]
    sound(database)


def test_drop_column_takes_the_column_and_its_values(database: peewee.SqliteDatabase) -> None:
    before = state(database)

    run(database, lambda m: m.drop_column("Torture", "SPARE"))

    assert difference(before, state(database)).keys() == {TABLE, "rows Torture"}
    assert state(database)[TABLE] == TORTURE.replace("spare BLOB, -- goes, when told\n  ", "")
    sound(database)


def test_operations_run_outside_a_transaction_too(database: peewee.SqliteDatabase) -> None:
    before = state(database)
    migrator = migrator_for(database)
    with pytest.raises(ChangeRefused, match="in use by"):
        migrator.migrate(migrator.drop_column("torture", "b"))
    assert state(database) == before
    migrator.migrate(
        migrator.drop_column("torture", "spare"), migrator.add_column("torture", "n", peewee.IntegerField(default=1))
    )
    assert not database.in_transaction()
    assert difference(before, state(database)).keys() == {TABLE, "rows Torture"}
    sound(database)


def test_drop_column_of_the_last_one_keeps_the_comments_before_it(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("DROP TRIGGER v_insert")
    before = state(database)
    old = """, -- small, (or not)
  maybe TEXT CONSTRAINT there NOT NULL ON CONFLICT ROLLBACK DEFAULT''CHECK(maybe<>'no') -- the last"""

    run(database, lambda m: m.drop_column("torture", "maybe"))

    assert difference(before, state(database)).keys() == {TABLE, "rows Torture"}
    assert state(database)[TABLE] == edited(old, " -- small, (or not)\n -- the last")
    sound(database)


def test_rename_column_reaches_everything_that_says_its_name(database: peewee.SqliteDatabase) -> None:
    run(database, lambda m: m.rename_column("torture", "B", "new, b"))

    texts = state(database)
    assert 'length("new, b")' in texts["sqlite_master index t_expression"]
    assert 'new."new, b"' in texts["sqlite_master trigger t_insert"]
    assert '"new, b"' in texts["sqlite_master view v"]
    assert 'FOREIGN KEY (a, "new, b")' in texts[TABLE]
    assert "/* every, (feature) at once */" in texts[TABLE]
    assert """DEFAULT 'it''s,  two  spaces\nand a line'""" in texts[TABLE]
    sound(database)


def test_rename_table_reaches_everything_that_says_its_name(database: peewee.SqliteDatabase) -> None:
    run(database, lambda m: m.rename_table("torture", "Ease"))

    texts = state(database)
    assert texts["sqlite_master table Ease"] == TORTURE.replace("TABLE Torture (", 'TABLE "Ease" (').replace(
        'REFERENCES "Torture"', 'REFERENCES "Ease"'
    ).replace("torture.a", '"Ease".a')
    assert 'REFERENCES "Ease"(id)' in texts["sqlite_master table children"]
    assert 'UPDATE "Ease"' in texts["sqlite_master trigger c_insert"]
    assert 'FROM "Ease"' in texts["sqlite_master view v"]
    assert ("Ease", 90) in texts["rows sqlite_sequence"]
    sound(database)


def test_indexes_come_and_go(database: peewee.SqliteDatabase) -> None:
    before = state(database)
    run(database, lambda m: m.add_index("torture", ("a", "made"), True, where=peewee.SQL("b <> ')'"), name="both"))
    assert difference(before, state(database)) == {
        "sqlite_master index both": (
            None,
            """CREATE UNIQUE INDEX "both" ON "torture" ("a", "made") WHERE b <> ')'""",
        )
    }
    run(database, lambda m: m.drop_index("torture", "both"))
    assert state(database) == before


REFUSED: dict[str, tuple[Operation, str]] = {
    "a column that is not there": (lambda m: m.add_not_null("torture", "nope"), "Torture: no column 'nope'; there are"),
    "an index on no column": (lambda m: m.add_index("torture", ("nope",)), "no column 'nope'"),
    "a unique of no column": (lambda m: m.add_unique("torture", "id", "nope"), "no column 'nope'"),
    "a foreign key of no column": (
        lambda m: m.add_foreign_key_constraint("torture", "nope", "parents", "id"),
        "no column 'nope'",
    ),
    "a rename of no column": (lambda m: m.rename_column("torture", "nope", "x"), "no column 'nope'"),
    "a table that is not there": (lambda m: m.add_not_null("nope", "id"), "no table 'nope'"),
    "a view": (lambda m: m.add_not_null("v", "id"), "v is a view"),
    "a table of SQLite's": (lambda m: m.add_not_null("sqlite_sequence", "seq"), "sqlite_sequence is SQLite's own"),
    "a constraint that is not there": (
        lambda m: m.drop_constraint("torture", "nope"),
        "no single constraint 'nope'; there are: amount_range, to_parent, there, pair, in_list",
    ),
    "a constraint that is there": (
        lambda m: m.add_constraint("torture", "PAIR", peewee.Check("1")),
        "a constraint 'PAIR' is there already",
    ),
    "no foreign key": (
        lambda m: m.drop_foreign_key_constraint("torture", "spare"),
        "has no foreign key that is its alone",
    ),
    "half a foreign key": (
        lambda m: m.drop_foreign_key_constraint("torture", "a"),
        "has no foreign key that is its alone",
    ),
    "rows with NULL": (
        lambda m: m.add_not_null("torture", "spare"),
        "its rows do not fit the new definition: NOT NULL constraint failed: Torture.spare",
    ),
    "rows alike": (
        lambda m: m.add_unique("torture", "OPEN"),
        "do not fit the new definition: UNIQUE constraint failed: Torture.open",
    ),
    "rows that break a rule": (
        lambda m: m.add_constraint("torture", "r", peewee.Check("id < 10")),
        "do not fit the new definition: CHECK constraint failed: r",
    ),
    "rows that a rule would throw away": (
        lambda m: m.add_constraint("torture", "one", peewee.SQL("UNIQUE (open) ON CONFLICT IGNORE")),
        "UNIQUE constraint failed: Torture.open",
    ),
    "no SQL": (lambda m: m.add_constraint("torture", "r", peewee.Check("id <")), "does not accept its new definition"),
    "a primary key": (lambda m: m.drop_column("children", "id"), "PRIMARY KEY"),
    "a column of an index": (
        lambda m: m.drop_column("torture", "made"),
        "column 'made' cannot go; in use by index t_partial, trigger c_insert",
    ),
    "a column of rules": (
        lambda m: m.drop_column("torture", "B"),
        "table Torture, index t_partial, index t_expression, trigger t_insert, view v, trigger v_insert$",
    ),
    "a column of a temporary trigger": (lambda m: m.drop_column("log", "what"), "in use by trigger t_temporary"),
    "a parent's column": (lambda m: m.drop_column("parents", "id"), "in use by table Torture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_something_is_refused_and_changes_nothing(database: peewee.SqliteDatabase, name: str) -> None:
    operation, reason = REFUSED[name]
    before = state(database)
    migrator = migrator_for(database)

    with database.atomic("IMMEDIATE"):
        with pytest.raises((ChangeRefused, peewee.OperationalError), match=reason):
            migrator.migrate(operation(migrator))
        assert state(database) == before
    assert state(database) == before
    sound(database)


@pytest.mark.parametrize("key", ["UNIQUE", "PRIMARY KEY"])
def test_drop_column_leaves_a_key_where_it_is(database: peewee.SqliteDatabase, key: str) -> None:
    database.execute_sql(f"CREATE TABLE k (a, -- first\n b {key})")
    with pytest.raises(peewee.OperationalError, match=f"cannot drop {key} column"):
        run(database, lambda m: m.drop_column("k", "b"))


@pytest.mark.parametrize(
    ("default", "written"),
    [
        (True, "1"),
        (-1.5, "-1.5"),
        (b"\0'", "X'0027'"),
        ("007", "'007'"),
        ("", "''"),
        ("'it''s'", "'it''s'"),
        ("rock'n'", "'rock''n'''"),
        (":)", "':)'"),
        ("Untitled (draft)", "'Untitled (draft)'"),
        ("(1) + (2)", "'(1) + (2)'"),
        ("(1 + 2)", "(1 + 2)"),
        ("strftime('%s', 'now')", "(strftime('%s', 'now'))"),
        (lambda: 5, "5"),
        (peewee.SQL("current_timestamp"), "current_timestamp"),
        (peewee.SQL("1 + ?", [2]), "(1 + 2)"),
        (peewee.fn.lower("X"), "(lower('X'))"),
    ],
)
def test_a_default_is_a_value_or_sql(database: peewee.SqliteDatabase, default: Any, written: str) -> None:
    run(database, lambda m: m.add_column_default("log", "what", default))
    assert state(database)["sqlite_master table log"] == f'CREATE TABLE "log" (what TEXT DEFAULT {written})'
    with pytest.raises(ValueError, match="must be not None"):
        run(database, lambda m: m.add_column_default("log", "what", None))


def test_operations_that_have_nothing_to_do_do_nothing(database: peewee.SqliteDatabase) -> None:
    before = state(database)
    run(database, lambda m: m.drop_column_default("torture", "spare"))
    run(database, lambda m: m.drop_not_null("torture", "spare"))
    run(database, lambda m: m.add_not_null("torture", "maybe"))
    assert state(database) == before


def test_the_primary_key_of_a_strict_table_stays_not_null(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE s (k TEXT NOT NULL PRIMARY KEY, v INT) STRICT")
    with pytest.raises(ChangeRefused, match="s: column 'K' is of the primary key"):
        run(database, lambda m: m.drop_not_null("s", "K"))


def test_other_engines_get_playhouses_own_migrator() -> None:
    proxy = peewee.DatabaseProxy()
    proxy.initialize(peewee.PostgresqlDatabase(None))
    assert type(migrator_for(proxy)).__name__ == "PostgresqlMigrator"
