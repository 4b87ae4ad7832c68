"""Which migrations migrate() runs, in which order, and the state after a failure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import dump, has_open_transaction, opened, rows, script
from tests.support.migrations import THREE, history, migrate_all, python, runner_of, sql, table, write
from usage_store import errors
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target
    from usage_store.migrate import Step

pytestmark = pytest.mark.quick


def test_migrations_run_in_order_and_leave_a_history(path: Target, directory: Path) -> None:
    began = int(time.time())
    told: list[Step] = []
    with runner_of(path, directory) as runner:
        steps = runner.migrate(on_step=told.append)
        assert [str(step.migration) for step in steps] == list(THREE)
        assert {step.direction for step in steps} == {"up"}
        assert all(step.seconds > 0 for step in steps)
        assert tuple(told) == steps
        assert runner.migrate() == ()
        status = runner.status()
    assert (status.current_version, status.latest_version, status.pending_count) == (3, 3, 0)
    found = rows(path, "SELECT version, name, applied_at FROM schema_migrations")
    assert [(version, name) for version, name, _ in found] == [(1, "one"), (2, "two"), (3, "three")]
    assert all(began <= applied_at <= time.time() for _, _, applied_at in found)
    assert [migration.applied_at for migration in status.applied_migrations] == [row[2] for row in found]


def test_the_history_table_is_the_promised_one(path: Target, directory: Path) -> None:
    migrate_all(path, directory)
    numbers = "bigint" if isinstance(path, str) else "INTEGER"
    with opened(path) as database:
        columns = database.get_columns("schema_migrations")
        indexes = {index.name: index.columns for index in database.get_indexes("schema_migrations")}
    assert [(each.name, each.data_type.lower(), each.primary_key) for each in columns] == [
        ("version", numbers.lower(), True),
        ("name", "text", False),
        ("applied_at", numbers.lower(), False),
    ]
    assert not any(each.null for each in columns if not each.primary_key)
    assert indexes["idx_schema_migrations_applied_at"] == ["applied_at"]


def test_on_step_is_told_after_the_commit(path: Target, directory: Path) -> None:
    seen: list[list[int]] = []
    with runner_of(path, directory) as runner:
        runner.migrate(on_step=lambda _: seen.append(history(path)))
    assert seen == [[1], [1, 2], [1, 2, 3]]


def test_a_target_ends_the_run_there(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        assert len(runner.migrate(2)) == 2
        assert runner.migrate(2) == ()
        assert history(path) == [1, 2]
        with pytest.raises(errors.ConfigurationError, match="version 4; allowed: 1, 2, 3"):
            runner.migrate(4)
        with pytest.raises(errors.ConfigurationError, match="below the current version 2; use rollback"):
            runner.migrate(1)
    assert history(path) == [1, 2]


@pytest.mark.parametrize("broken", ["def up(:\n", "raise ValueError('no')\n", "def down(migrator, db): pass\n"])
def test_nothing_runs_if_any_pending_file_is_broken(path: Target, directory: Path, broken: str) -> None:
    write(directory, {"003_three": broken})
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.RegistryError, match=r"003_three\.py"):
            runner.migrate()
        assert dump(path) == {"schema": []}
        assert len(runner.migrate(2)) == 2


def test_a_failure_names_the_place_the_statement_and_what_was_applied(path: Target, directory: Path) -> None:
    write(
        directory,
        {
            "002_two": python("""
                db.execute_sql("CREATE TABLE two (n INTEGER CHECK (n > 0))")
                db.execute_sql("INSERT INTO two VALUES (1)")

                db.execute_sql("INSERT INTO two VALUES (-7)")
            """)
        },
    )
    refused = (
        "CheckViolation|IntegrityError" if isinstance(path, str) else "IntegrityError: CHECK constraint failed: n > 0"
    )
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed) as caught:
        runner.migrate()
    error = caught.value
    assert re.search(rf"002_two\.py, line 5: {refused}", str(error))
    assert "statement: INSERT INTO two VALUES (-7)" in str(error)
    assert str(error).endswith("rolled back; applied before it: 001_one")
    assert (error.version, error.line, error.statement) == (2, 5, "INSERT INTO two VALUES (-7)")
    assert [str(step.migration) for step in error.applied] == ["001_one"]
    assert isinstance(error.__cause__, peewee.IntegrityError)
    assert history(path) == [1]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("raise KeyError('x')", errors.MigrationFailed),
        ("raise RuntimeError('two\\nlines')", errors.MigrationFailed),
        ("db.execute_sql('no sql')", errors.MigrationFailed),
        ("import sys; sys.exit(0)", errors.MigrationFailed),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
    ],
)
def test_a_failed_migration_leaves_nothing_behind(
    path: Target, directory: Path, end: str, error: type[BaseException]
) -> None:
    up = """
        db.execute_sql("DELETE FROM host WHERE a = 1")
        db.execute_sql("DROP INDEX i")
        db.execute_sql("ALTER TABLE host ADD COLUMN c INTEGER")
        db.execute_sql("CREATE TABLE two (id INTEGER PRIMARY KEY)")
        db.execute_sql("INSERT INTO two VALUES (1)")
    """
    script(
        path,
        "CREATE TABLE host (a INTEGER, b INTEGER); CREATE INDEX i ON host (a); INSERT INTO host VALUES (1, 2), (3, 4)",
    )
    with runner_of(path, directory) as runner:
        runner.migrate(1)
        before = dump(path)
        write(directory, {"002_two": python(f"{up}    {end}")})
        with pytest.raises(error):
            runner.migrate()
        assert dump(path) == before
        write(directory, {"002_two": table("two")})
        assert len(runner.migrate()) == 2


def test_the_first_migration_to_fail_leaves_not_even_a_history_table(path: Target, directory: Path) -> None:
    write(directory, {"001_one": sql("CREATE TABLE one (a INTEGER)", "no sql")})
    with (
        runner_of(path, directory) as runner,
        pytest.raises(errors.MigrationFailed, match="applied before it: nothing"),
    ):
        runner.migrate()
    assert dump(path) == {"schema": []}


def test_a_statement_that_failed_earlier_and_was_handled_is_not_blamed(path: Target, directory: Path) -> None:
    up = """
        try:
            db.execute_sql("SELECT * FROM nowhere")
        except Exception:
            pass
        raise ValueError("the real reason")
    """
    write(directory, {"001_one": python(up)})
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match="the real reason") as caught:
        runner.migrate()
    assert caught.value.statement is None
    assert "nowhere" not in str(caught.value)


def test_an_error_below_the_migration_is_given_with_the_migrations_line(path: Target, directory: Path) -> None:
    (directory / "_shared.py").write_text("def fail(): raise ValueError('deep')\n")
    source = "import runpy\n" + python(f"\nrunpy.run_path({str(directory / '_shared.py')!r})['fail']()")
    write(directory, {"001_one": source})
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match=r"001_one\.py, line 3: V"):
        runner.migrate()


def test_a_relative_directory_is_told_with_its_lines_too(
    path: Target, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(directory, {"001_one": sql("no sql")})
    monkeypatch.chdir(directory.parent)
    with opened(path) as database, pytest.raises(errors.MigrationFailed, match=r"001_one\.py, line 2"):
        MigrationRunner(database, "own").migrate()


def test_playhouse_operations_work(path: Target, directory: Path) -> None:
    up = """
        import peewee
        from playhouse.migrate import migrate
        migrate(
            migrator.add_column("one", "size", peewee.IntegerField(default=3)),
            migrator.rename_column("one", "title", "name"),
            migrator.add_index("one", ("name",), unique=True),
            migrator.add_not_null("one", "name"),
            migrator.rename_table("two", "second"),
            migrator.drop_column("three", "title"),
        )
    """
    with runner_of(path, directory) as runner:
        runner.migrate()
        script(path, "INSERT INTO one VALUES (1, 'a'), (2, 'b'); INSERT INTO three VALUES (7, 'gone')")
        write(directory, {"004_change": "deletes = ('three.title',)\n" + python(up)})
        runner.migrate()
    assert rows(path, "SELECT * FROM one") == [(1, "a", 3), (2, "b", 3)]
    assert rows(path, "SELECT * FROM three") == [(7,)]
    assert rows(path, "SELECT count(*) FROM second") == [(0,)]
    with pytest.raises(Exception, match=r"(?i)not.null"):
        script(path, "INSERT INTO one VALUES (3, NULL, 3)")


def test_atomic_false_runs_outside_a_transaction_and_says_so_when_it_fails(path: Target, directory: Path) -> None:
    write(directory, {"004_vacuum": sql("VACUUM", "CREATE TABLE four (a INTEGER)", "no sql", atomic=False)})
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.MigrationFailed, match=r"atomic = False.* its effects stay; applied before it: 001"):
            runner.migrate()
        assert history(path) == [1, 2, 3]
        assert rows(path, "SELECT count(*) FROM four") == [(0,)]
        write(directory, {"004_vacuum": "deletes = ('four',)\n" + sql("DROP TABLE four", "VACUUM", atomic=False)})
        assert len(runner.migrate()) == 1
    assert history(path) == [1, 2, 3, 4]


def test_a_transaction_left_open_by_atomic_false_is_rolled_back(path: Target, directory: Path) -> None:
    write(directory, {"004_open": sql("BEGIN", "CREATE TABLE four (a INTEGER)", atomic=False)})
    with runner_of(path, directory) as runner:
        runner.migrate(3)
        before = dump(path)
        with pytest.raises(errors.MigrationFailed, match=r"004_open\.py.*left a transaction open"):
            runner.migrate()
        assert not has_open_transaction(runner.database)
    assert dump(path) == before
