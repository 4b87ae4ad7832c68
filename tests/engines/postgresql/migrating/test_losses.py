"""No migration loses rows, columns, indexes, triggers or constraints without declaring it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import python, sql
from usage_store.errors import MigrationFailed

if TYPE_CHECKING:
    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs

START = sql(
    'CREATE TABLE parent (id integer PRIMARY KEY, name text NOT NULL, "Odd %%" text, empty text)',
    "CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE, size integer "
    "CONSTRAINT positive CHECK (size > 0))",
    "CREATE TABLE hollow (id integer)",
    "CREATE INDEX by_name ON parent (name)",
    "CREATE INDEX by_size ON child (size)",
    "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER quiet BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION nothing()",
    "CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'DELETE FROM child'",
    "CREATE FUNCTION raze() RETURNS void LANGUAGE sql AS 'DROP TABLE parent CASCADE'",
    "CREATE FUNCTION empties() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE child'; END $$",
    "INSERT INTO parent VALUES (1, 'a', 'x', NULL), (2, 'b', NULL, NULL), (3, 'c', NULL, NULL)",
    "INSERT INTO child VALUES (1, 1, 1), (2, 1, 1), (3, 2, 1)",
)
DECLARE = "if that is meant, declare deletes = "


def run(runs: Runs, database: peewee.Database, *statements: str, head: str = "", body: str = "") -> None:
    source = head + (python(body) if body else sql(*statements, down=None))
    runs(database, _001_start=START, _002_loses=source).migrate()


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["DELETE FROM child WHERE id = 3"], f"child lost 1 of 3 rows; {DECLARE}('child',)"),
        (["DELETE FROM parent WHERE id = 1"], "child lost 2 of 3 rows"),  # by the cascade
        (["SELECT purge()"], f"child lost 3 of 3 rows; {DECLARE}('child',)"),
        (["TRUNCATE parent CASCADE"], "child lost 3 of 3 rows"),
        (["TRUNCATE child"], f"child lost 3 of 3 rows; {DECLARE}('child',)"),
        (["DROP TABLE child"], f"child was dropped with 3 rows; {DECLARE}('child',)"),
        (["SELECT raze()"], f"parent was dropped and may have had rows; {DECLARE}('parent',)"),
        (["SELECT empties()"], f"child was emptied and may have had rows; {DECLARE}('child',)"),
        (["ALTER TABLE child RENAME TO kid", "DELETE FROM kid"], "child, now kid, lost 3 of 3 rows"),
        (["ALTER TABLE parent DROP COLUMN name"], f"its values; {DECLARE}('parent.name',)"),
        (['ALTER TABLE parent DROP COLUMN "Odd %%"'], "parent.Odd % was dropped with its values"),
        (["ALTER TABLE child DROP COLUMN size CASCADE"], "child.size was dropped with its values"),
        (
            ["CREATE TABLE new (id integer, size integer)", "INSERT INTO new SELECT id, size FROM child WHERE id < 3",
             "DROP TABLE child", "ALTER TABLE new RENAME TO child"],
            "child lost 1 of 3 rows",
        ),
        (
            ["CREATE TABLE new (id integer, size integer)", "INSERT INTO new SELECT id, size FROM child",
             "DROP TABLE child", "ALTER TABLE new RENAME TO child"],
            "child.parent was dropped with its values",
        ),
        (
            ["CREATE TABLE new (id integer, parent integer, size integer)", "INSERT INTO new SELECT * FROM child",
             "DROP TABLE child", "ALTER TABLE new RENAME TO child"],
            "index by_size of child was lost; create it again, or declare drops = ('by_size',)",
        ),
        (["DROP FUNCTION nothing() CASCADE"], "trigger quiet of child was lost"),
        (["ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE"], "constraint child_parent_fkey of child was lost"),
    ],
)  # fmt: skip
def test_an_undeclared_loss_is_rolled_back(
    database: peewee.Database, runs: Runs, statements: list[str], fault: str
) -> None:
    with pytest.raises(MigrationFailed) as caught:
        run(runs, database, *statements)
    assert fault in str(caught.value)
    counts = "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child), (SELECT max(name) FROM parent)"
    assert database.execute_sql(counts).fetchone() == (3, 3, "c")


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM child WHERE id = 99", "UPDATE parent SET name = 'z'"],
        ["DROP TABLE hollow"],
        ["TRUNCATE hollow", "ALTER TABLE hollow ALTER id TYPE bigint"],
        ["ALTER TABLE child ALTER size TYPE bigint", "ALTER TABLE parent RENAME name TO title"],
        ["ALTER TABLE parent DROP COLUMN empty", "DROP INDEX by_name", "DROP TRIGGER quiet ON child"],
        ["ALTER TABLE child DROP CONSTRAINT positive", "ALTER TABLE parent ALTER name DROP NOT NULL"],
        ["ALTER TABLE child ADD bytes integer", "UPDATE child SET bytes = size",
         "ALTER TABLE child DROP COLUMN size", "CREATE INDEX by_size ON child (bytes)",
         "ALTER TABLE child ADD CONSTRAINT positive CHECK (bytes > 0)"],
        ["INSERT INTO child VALUES (9, 1, 1), (8, 1, 1)", "DELETE FROM child WHERE id > 7"],
        ["CREATE TEMP TABLE kept AS SELECT * FROM child", "DELETE FROM child", "INSERT INTO child SELECT * FROM kept"],
        ["SAVEPOINT s", "DELETE FROM child", "ROLLBACK TO s", "RELEASE s"],
        ["SAVEPOINT s", "INSERT INTO hollow VALUES (1)", "ROLLBACK TO s", "DROP TABLE hollow"],
    ],
)  # fmt: skip
def test_what_loses_nothing_is_no_fault(database: peewee.Database, runs: Runs, statements: list[str]) -> None:
    run(runs, database, *statements)


@pytest.mark.parametrize(
    ("statement", "head"),
    [
        ("DELETE FROM parent WHERE id = 1", 'deletes = ("parent", "child")\n'),
        ("DROP TABLE child", 'deletes = ("child",)\n'),
        ("ALTER TABLE child DROP COLUMN size", 'deletes = ("child.size",)\ndrops = ("by_size", "positive")\n'),
    ],
)
def test_a_declared_loss_is_no_fault(database: peewee.Database, runs: Runs, statement: str, head: str) -> None:
    run(runs, database, statement, head=head)


def test_rows_deleted_beside_rows_that_a_savepoint_took_back_are_still_lost(
    database: peewee.Database, runs: Runs
) -> None:
    taken_back = ["SAVEPOINT s", "INSERT INTO child VALUES (9, 1, 1), (8, 1, 1), (7, 1, 1)", "ROLLBACK TO s"]
    with pytest.raises(MigrationFailed, match="child lost 2 of 3 rows"):
        run(runs, database, "SELECT 1", *taken_back, "DELETE FROM child WHERE id < 3")


def test_down_may_drop_and_delete_but_not_lose_rows_by_a_cascade(database: peewee.Database, runs: Runs) -> None:
    down = [
        "DELETE FROM child",
        "DELETE FROM parent",
        "ALTER TABLE parent DROP COLUMN name",
        "DROP TABLE hollow",
    ]  # by_name too
    second = sql("SELECT 1", down=down)
    runner = runs(database, _001_start=START, _002_more=second)
    runner.migrate()
    assert len(runner.rollback(1)) == 1
    runs(database, _001_start=START, _002_more=sql("INSERT INTO parent VALUES (5)", down=["DELETE FROM parent"]),
         _003_child=sql("INSERT INTO child VALUES (7, 5, 1)", down=None)).migrate()  # fmt: skip
    database.execute_sql("DELETE FROM app_migrations WHERE version = 3")
    with pytest.raises(MigrationFailed, match="child lost 1 of 1 rows"):
        runs(database, _001_start=START, _002_more=sql("SELECT 1", down=["DELETE FROM parent"])).rollback(1)


TWINS = sql(
    'CREATE TABLE item (id integer, "Id" integer)',
    'CREATE TABLE "Item" (id integer)',
    'CREATE TABLE "Other" (id integer)',
    "CREATE INDEX by_id ON item (id)",
    'CREATE INDEX "By_id" ON item ("Id")',
    *(f"INSERT INTO {table} VALUES (1)" for table in ("item", '"Item"', '"Other"')),
    'UPDATE item SET "Id" = 2',
)


OF_ANOTHER = [
    ('DELETE FROM "Item"', 'deletes = ("item",)', "'Item'"),
    ("DELETE FROM item", 'deletes = ("ITEM",)', "'item'"),
    ('ALTER TABLE item DROP COLUMN "Id"', 'deletes = ("item.id",)\ndrops = ("By_id",)', "'item.Id'"),
]
INDEX_OF_ANOTHER = ('ALTER TABLE item DROP COLUMN "Id"', 'deletes = ("item.Id",)\ndrops = ("by_id",)', "'By_id'")


@pytest.mark.parametrize(
    ("statement", "declared", "lost", "atomic"),
    [*((*case, atomic) for case in OF_ANOTHER for atomic in (True, False)), (*INDEX_OF_ANOTHER, True)],
)
def test_a_declared_name_means_nothing_else_that_differs_in_case(
    database: peewee.Database, runs: Runs, statement: str, declared: str, lost: str, *, atomic: bool
) -> None:
    loses = f"{declared}\n{sql(statement, down=None, atomic=atomic)}"
    with pytest.raises(MigrationFailed, match=lost):
        runs(database, _001_twins=TWINS, _002_loses=loses).migrate()
    assert database.execute_sql('SELECT (SELECT "Id" FROM item), (SELECT id FROM "Item")').fetchone() == (2, 1)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_declared_name_may_differ_in_case_if_nothing_else_is_meant(
    database: peewee.Database, runs: Runs, *, atomic: bool
) -> None:
    loses = sql('DELETE FROM "Item"', 'DELETE FROM "Other"', 'ALTER TABLE "Item" DROP COLUMN id', atomic=atomic)
    declares = 'deletes = ("Item", "OTHER", "Item.id")\n'
    assert len(runs(database, _001_twins=TWINS, _002_loses=declares + loses).migrate()) == 2
