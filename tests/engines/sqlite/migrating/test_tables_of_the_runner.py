"""The history and the log belong to the runner: no migration can change, drop or hide them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import dump, rows, script
from tests.support.migrations import history, python, runner_of, sql, table, write
from usage_store import MigrationRunner, errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

TOUCHED = [
    ("schema_migrations", ("DELETE FROM schema_migrations",)),
    ("schema_migrations", ("UPDATE Schema_Migrations SET name = 'x'",)),
    ("schema_migrations", ("INSERT INTO schema_migrations VALUES (7, 'seven', 7)",)),
    ("schema_migrations", ("DROP TABLE schema_migrations",)),
    ("schema_migrations", ("DROP INDEX idx_schema_migrations_applied_at",)),
    ("schema_migrations", ("ALTER TABLE schema_migrations ADD COLUMN more",)),
    ("schema_migrations", ("ALTER TABLE schema_migrations RENAME TO old",)),
    ("schema_migrations", ("CREATE TRIGGER x AFTER INSERT ON schema_migrations BEGIN SELECT 1; END",)),
    ("schema_migrations", ("CREATE TEMP TABLE schema_migrations (version, name, applied_at)",)),
    ("schema_migrations", ("CREATE TEMP VIEW schema_migrations AS SELECT 1 AS version, '' AS name, 1 AS applied_at",)),
    ("schema_migrations", ("CREATE TEMP TABLE x (version)", "ALTER TABLE x RENAME TO schema_migrations")),
    ("schema_migration_log", ("DELETE FROM schema_migration_log",)),
    ("schema_migration_log", ("UPDATE schema_migration_log SET checksum = ''",)),
    ("schema_migration_log", ("CREATE TEMP TRIGGER x BEFORE INSERT ON schema_migration_log BEGIN SELECT 1; END",)),
    (
        "schema_migration_log",
        (
            "CREATE TRIGGER x AFTER INSERT ON one BEGIN DELETE FROM schema_migration_log; END",
            "INSERT INTO one (title) VALUES ('a')",
        ),
    ),
]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize(("name", "statements"), TOUCHED)
def test_a_migration_that_touches_them_is_refused_and_named(
    path: Path, tmp_path: Path, name: str, statements: tuple[str, ...], direction: str, *, atomic: bool
) -> None:
    bad = {"up": sql(*statements, atomic=atomic), "down": sql(down=statements, atomic=atomic)}[direction]
    directory = write(tmp_path / "own", {"001_one": table("one")})
    with runner_of(path, directory) as runner:
        runner.migrate()
        write(directory, {"002_bad": bad})
        if direction == "down":
            runner.migrate()
        before = dump(path)
        with pytest.raises(errors.MigrationFailed, match=rf"002_bad\.py.*{name}.* the runner's own"):
            (runner.migrate if direction == "up" else runner.rollback)()
        assert rows(path, "SELECT * FROM schema_migrations") != []
        for table_name in ("schema_migrations", "schema_migration_log"):
            assert dump(path)[table_name] == before[table_name]


@pytest.mark.parametrize("name", ["schema_migrations", "schema_migration_log"])
def test_the_first_migration_cannot_rename_a_table_to_their_name(path: Path, tmp_path: Path, name: str) -> None:
    statements = ("CREATE TABLE x (version, name, applied_at)", f"ALTER TABLE x RENAME TO {name}")
    directory = write(tmp_path / "own", {"001_bad": sql(*statements)})
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match=f"renamed to {name}"):
        runner.migrate()


def test_reading_them_and_naming_them_in_a_view_is_fine(path: Path, tmp_path: Path) -> None:
    statements = ("CREATE VIEW v AS SELECT name FROM schema_migrations", "SELECT * FROM schema_migration_log", "VACUUM")
    files = {"001_one": table("one"), "002_reads": sql(*statements[:1]), "003_all": sql(*statements[1:], atomic=False)}
    directory = write(tmp_path / "own", files)
    with runner_of(path, directory) as runner:
        assert len(runner.migrate()) == 3


@pytest.mark.parametrize(
    "hides",
    [
        "CREATE TEMP TABLE schema_migrations AS SELECT 1 AS version, 'one' AS name, 1 AS applied_at",
        "CREATE TEMP VIEW Schema_Migration_Log AS SELECT 1",
        "CREATE TEMP TRIGGER x AFTER INSERT ON main.schema_migration_log BEGIN SELECT 1; END",
    ],
)
@pytest.mark.parametrize("pending", [True, False])
def test_a_temporary_object_that_hid_them_before_ends_the_run_before_anything_is_written(
    path: Path, tmp_path: Path, hides: str, *, pending: bool
) -> None:
    directory = write(tmp_path / "own", {"001_one": table("one")})
    with closing(peewee.SqliteDatabase(str(path))) as database:
        runner = MigrationRunner(database, directory, "schema_migrations")
        database.connect()
        runner.migrate()
        write(directory, {"002_two": table("two")} if pending else {})
        database.execute_sql(hides)
        before = dump(path)
        for run in (runner.migrate, runner.rollback):
            with pytest.raises(errors.HistoryError, match="is hidden by a temporary object of this connection"):
                run()
        assert dump(path) == before


GONE = ["db.connection().set_authorizer(None)", "db.connection().set_authorizer(lambda *_: 0)"]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("call", GONE)
def test_an_authorizer_that_was_taken_off_or_replaced_is_noticed(
    path: Path, tmp_path: Path, call: str, *, atomic: bool
) -> None:
    script(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    files = {"001_one": table("one"), "002_bad": python(call + "\ndb.execute_sql('DELETE FROM t')", atomic=atomic)}
    directory = write(tmp_path / "own", files)
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.MigrationFailed, match=r"002_bad\.py: the migration removed or replaced the con"):
            runner.migrate()
        assert rows(path, "SELECT count(*) FROM t") == [(int(atomic),)]
        assert history(path) == [1]
        write(directory, {"002_bad": sql("SELECT 1", atomic=atomic), "003_three": table("three")})
        assert len(runner.migrate()) == 2
