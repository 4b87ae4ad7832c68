"""A rebuild loses no rows of tables that refer to the table; a migration that breaks a foreign key is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, rows, script
from tests.support.migrations import history, migrate_all, python, runner_of, sql, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

FAMILY = sql(
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT, spare TEXT)",
    "CREATE TABLE cascading (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE)",
    "CREATE TABLE nulling (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id) ON DELETE SET NULL)",
    "CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT, up INTEGER REFERENCES node(id) ON DELETE CASCADE)",
)
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
ROWS = f"""
INSERT INTO parent {NUMBERS} SELECT i, 'name ' || i, NULL FROM n;
INSERT INTO cascading {NUMBERS} SELECT i, i FROM n;
INSERT INTO nulling {NUMBERS} SELECT i, i FROM n;
INSERT INTO node {NUMBERS} SELECT i, 'node ' || i, nullif(i / 2, 0) FROM n;
"""
BY_HAND = """
db.execute_sql("CREATE TABLE new (id INTEGER PRIMARY KEY, name TEXT NOT NULL, spare TEXT)")
db.execute_sql("INSERT INTO new SELECT * FROM parent")
db.execute_sql("DROP TABLE parent")
db.execute_sql("ALTER TABLE new RENAME TO parent")
"""
PLAYHOUSE = "import peewee; from playhouse.migrate import migrate; migrate({})"
REBUILDS = {
    "by hand": BY_HAND,
    "in a savepoint": "with db.atomic():" + BY_HAND.replace("\n", "\n    "),
    "add_not_null": PLAYHOUSE.format('migrator.add_not_null("parent", "name")'),
    "drop_column": PLAYHOUSE.format('migrator.drop_column("parent", "spare")'),
    "drop_column, legacy": PLAYHOUSE.format('migrator.drop_column("parent", "spare", legacy=True)'),
    "alter_column_type": PLAYHOUSE.format('migrator.alter_column_type("parent", "name", peewee.BlobField())'),
    "self-reference": PLAYHOUSE.format('migrator.add_not_null("node", "name")'),
}


@pytest.fixture
def directory(tmp_path: Path, path: Path) -> Path:
    directory = write(tmp_path / "own", {"001_family": FAMILY})
    migrate_all(path, directory)
    script(path, ROWS)
    return directory


def counts(path: Path) -> list[tuple[int, ...]]:
    return [
        rows(path, "SELECT count(*), count(name) FROM parent")[0],
        rows(path, "SELECT count(*), count(parent_id) FROM cascading")[0],
        rows(path, "SELECT count(*), count(parent_id) FROM nulling")[0],
        rows(path, "SELECT count(*), count(up) FROM node")[0],
    ]


@pytest.mark.parametrize("up", REBUILDS.values(), ids=REBUILDS.keys())
def test_a_rebuild_loses_no_children(path: Path, directory: Path, up: str) -> None:
    before = dump(path)
    write(directory, {"002_rebuild": python(up)})
    with runner_of(path, directory) as runner:
        assert runner.database.pragma("foreign_keys") == 1
        runner.migrate()
        assert runner.database.pragma("foreign_keys") == 1
    assert counts(path) == [(100, 100), (100, 100), (100, 100), (100, 99)]
    assert dump(path)["schema"] != before["schema"], "this rebuild did nothing, so it proves nothing"


def test_a_rebuild_on_the_way_down_loses_no_children(path: Path, directory: Path) -> None:
    write(directory, {"002_rebuild": python(BY_HAND, BY_HAND.replace(" NOT NULL", ""))})
    with runner_of(path, directory) as runner:
        runner.migrate()
        runner.rollback()
    assert counts(path) == [(100, 100), (100, 100), (100, 100), (100, 99)]


@pytest.mark.parametrize("before_it", ["PRAGMA foreign_keys = ON", "PRAGMA main.foreign_keys(1)"])
def test_a_rebuild_after_a_migration_that_switched_foreign_keys_on_loses_no_children(
    path: Path, directory: Path, before_it: str
) -> None:
    # With atomic = False the pragma is allowed and works; it must not reach the next migration.
    write(directory, {"002_on": sql(before_it, atomic=False), "003_rebuild": python(BY_HAND)})
    migrate_all(path, directory)
    assert counts(path) == [(100, 100), (100, 100), (100, 100), (100, 99)]


def test_a_rebuild_after_a_migration_that_reconnected_loses_no_children(path: Path, directory: Path) -> None:
    write(directory, {"002_again": python("db.close()\ndb.connect()", atomic=False), "003_rebuild": python(BY_HAND)})
    migrate_all(path, directory)
    assert counts(path) == [(100, 100), (100, 100), (100, 100), (100, 99)]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "DELETE FROM parent WHERE id > 90",
            ["cascading has rows that refer to missing rows in parent (10)", "nulling has"],
        ),
        ("INSERT INTO cascading VALUES (101, 777)", ["cascading has rows that refer to missing rows in parent (1)"]),
        ("UPDATE node SET up = -1 WHERE id = 50", ["node has rows that refer to missing rows in node (1)"]),
        ("DROP TABLE parent", ["cascading has rows that refer to missing rows in parent (100)", "nulling has rows"]),
        ("CREATE TABLE wrong (name TEXT REFERENCES parent(name))", ["foreign key mismatch", "wrong"]),
    ],
)
def test_new_violations_are_named_and_rolled_back(
    path: Path, directory: Path, statement: str, named: list[str]
) -> None:
    before = dump(path)
    write(directory, {"002_bad": sql(statement)})
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed) as caught:
        runner.migrate()
    assert "002_bad.py" in str(caught.value)
    for text in named:
        assert text in str(caught.value)
    assert dump(path) == before


def test_new_violations_on_the_way_down_are_rolled_back(path: Path, directory: Path) -> None:
    write(directory, {"002_more": sql(down=["DELETE FROM parent WHERE id = 1"])})
    with runner_of(path, directory) as runner:
        runner.migrate()
        before = dump(path)
        with pytest.raises(errors.MigrationFailed, match="cascading has rows that refer to missing rows in parent"):
            runner.rollback()
    assert dump(path) == before


def test_new_violations_by_atomic_false_are_named_and_not_recorded(path: Path, directory: Path) -> None:
    write(directory, {"002_bad": sql("INSERT INTO cascading VALUES (101, 777)", atomic=False)})
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match="cascading has rows"):
        runner.migrate()
    assert history(path) == [1]


def test_violations_from_before_are_tolerated_and_logged(
    path: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script(path, "INSERT INTO cascading VALUES (101, 777), (102, 778)")
    write(directory, {"002_fine": python(BY_HAND), "003_more": sql("INSERT INTO cascading VALUES (103, 779)")})
    with runner_of(path, directory) as runner:
        runner.migrate(2)
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warnings == ["found before migrating: cascading has rows that refer to missing rows in parent"]
        with pytest.raises(
            errors.MigrationFailed, match=r"cascading has rows that refer to missing rows in parent \(1\)"
        ):
            runner.migrate()
    assert history(path) == [1, 2]
    assert rows(path, "SELECT count(*) FROM cascading") == [(102,)]


def test_violations_may_be_mended_by_a_migration(path: Path, directory: Path) -> None:
    script(path, "INSERT INTO cascading VALUES (101, 777)")
    mend = sql("DELETE FROM cascading WHERE parent_id NOT IN (SELECT id FROM parent)")
    write(directory, {"002_mend": f"deletes = ('cascading',)\n{mend}"})
    with runner_of(path, directory) as runner:
        runner.migrate()
        assert runner.validate().ok


def test_what_an_earlier_migration_mended_a_later_one_may_not_break_again(path: Path, directory: Path) -> None:
    script(path, "INSERT INTO cascading VALUES (101, 777)")
    write(
        directory,
        {
            "002_mend": "deletes = ('cascading',)\n" + sql("DELETE FROM cascading WHERE id = 101"),
            "003_break": sql("INSERT INTO cascading VALUES (101, 777)"),
        },
    )
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match=r"003_break\.py"):
        runner.migrate()
    assert history(path) == [1, 2]
