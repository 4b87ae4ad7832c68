"""Adding, dropping and renaming columns, tables and indexes changes only what the operation names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.torture import TABLE, TORTURE, difference, edited, run, sound, state
from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator, migrator_for
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = Callable[[LosslessMigrator], Any]

pytestmark = pytest.mark.quick


class Parent(peewee.Model):
    id = peewee.AutoField()

    class Meta:
        table_name = "parents"


COLUMNS: dict[str, tuple[Any, str, Any]] = {
    "nullable": (peewee.IntegerField(null=True), '"added" INTEGER', None),
    "not null": (peewee.TextField(default="it's"), '"added" TEXT NOT NULL', "it's"),
    "not null, called default": (peewee.IntegerField(default=lambda: 3), '"added" INTEGER NOT NULL', 3),
    "not null, converted": (peewee.BooleanField(default=False), '"added" INTEGER NOT NULL', 0),
    "not null, bytes": (peewee.BlobField(default=b"\x00'"), '"added" BLOB NOT NULL', b"\x00'"),
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
    changed.pop("sqlite_master index sqlite_autoindex_Torture_2", None)  # belongs to the added UNIQUE
    changed.pop("rows sqlite_stat4", None)  # only in a build with SQLITE_ENABLE_STAT4
    # The index of the added UNIQUE gets the first number, so the statistics of the other index go to the second one.
    changed.pop("rows sqlite_stat1", None)
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


@pytest.mark.parametrize("key", ["UNIQUE", "PRIMARY KEY"])
def test_drop_column_leaves_a_key_where_it_is(database: peewee.SqliteDatabase, key: str) -> None:
    database.execute_sql(f"CREATE TABLE k (a, -- first\n b {key})")
    with pytest.raises(peewee.OperationalError, match=f"cannot drop {key} column"):
        run(database, lambda m: m.drop_column("k", "b"))
