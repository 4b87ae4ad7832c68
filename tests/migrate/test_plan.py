"""plan() returns the statements that would run, and runs none of them on the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, files_of, script
from tests.support.migrations import migrate_all, python, runner_of, sql, table, write
from usage_store import errors
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files import find_files
from usage_store.migrate.rehearse import rehearse

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

FILES = {
    "001_one": sql(
        "CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE INDEX one_title ON one (title)",
        down=["DROP TABLE one"],
    ),
    "002_rows": python(
        """
        db.execute_sql(f"INSERT INTO one VALUES (1, {db.param})", ("it's",))
        db.execute_sql("SELECT * FROM one").fetchall()
        """,
        "db.execute_sql('DELETE FROM one')",
    ),
    "003_column": python(
        """
        import peewee
        from playhouse.migrate import migrate
        migrate(migrator.add_column("one", "size", peewee.IntegerField(null=True)))
        """,
        "db.execute_sql('ALTER TABLE one DROP COLUMN size')",
    ),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", FILES)


def planned(path: Target, directory: Path, target: int | None = None) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the plan, after a check that the database has not changed."""
    before = dump(path)
    with runner_of(path, directory) as runner:
        files = None if isinstance(path, str) else files_of(path.parent)
        plan = runner.plan(target)
        assert files == (None if isinstance(path, str) else files_of(path.parent))
    assert dump(path) == before
    return [(str(step.migration), step.direction, step.statements) for step in plan]


UP = [
    (
        "001_one",
        "up",
        ("CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)", "CREATE INDEX one_title ON one (title)"),
    ),
    ("002_rows", "up", ("INSERT INTO one VALUES (1, 'it''s')",)),
    ("003_column", "up", ('ALTER TABLE "one" ADD COLUMN "size" INTEGER',)),
]


def test_the_statements_up_are_those_that_would_run(path: Target, directory: Path) -> None:
    assert planned(path, directory) == UP
    assert planned(path, directory, 2) == UP[:2]


def test_what_is_applied_is_not_planned_again(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate(2)
    assert planned(path, directory) == UP[2:]
    migrate_all(path, directory)
    assert planned(path, directory) == []


def test_the_statements_down_are_those_that_would_run(path: Target, directory: Path) -> None:
    migrate_all(path, directory)
    assert planned(path, directory, 1) == [
        ("003_column", "down", ("ALTER TABLE one DROP COLUMN size",)),
        ("002_rows", "down", ("DELETE FROM one",)),
    ]
    assert planned(path, directory, 0)[-1] == ("001_one", "down", ("DROP TABLE one",))


def test_a_statement_that_starts_with_a_comment_is_planned_too(path: Target, directory: Path) -> None:
    write(directory, {"001_one": sql("-- people\nCREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)")})
    ((_, _, statements),) = planned(path, directory, 1)
    assert len(statements) == 1
    assert "CREATE TABLE one" in statements[0]


@pytest.mark.only_on("sqlite", "SQL of a host")
def test_what_triggers_do_is_not_a_statement_of_the_plan(path: Path, directory: Path) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON one BEGIN DELETE FROM one WHERE id < 0; END"
    write(directory, {"001_one": sql("CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)", trigger)})
    assert planned(path, directory, 2)[1] == UP[1]


def test_tables_of_the_host_are_there_to_build_on(path: Target, directory: Path) -> None:
    script(path, "CREATE TABLE host (a INTEGER); CREATE VIEW v AS SELECT a FROM host; INSERT INTO host VALUES (1)")
    trigger = "CREATE TRIGGER t AFTER INSERT ON host BEGIN SELECT 1; END"
    if isinstance(path, str):
        trigger = (
            "CREATE TRIGGER t BEFORE UPDATE ON host FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
    statements = ("ALTER TABLE host ADD COLUMN b INTEGER", trigger, "UPDATE host SET b = 1")
    write(directory, {"004_host": sql(*statements)})
    assert planned(path, directory)[-1][2] == statements


@pytest.mark.only_on("sqlite", "SQL of a host")
def test_a_virtual_table_of_the_host_is_no_obstacle(path: Path, directory: Path) -> None:
    script(path, "CREATE VIRTUAL TABLE words USING fts5 (text); INSERT INTO words VALUES ('a')")
    assert planned(path, directory) == UP


@pytest.mark.parametrize("up", ["db.execute_sql('no sql')", "db.execute_sql('SELECT 1 WHERE 1 = 0').fetchone()[0]"])
def test_a_migration_that_fails_on_the_copy_is_named(path: Target, directory: Path, up: str) -> None:
    write(directory, {"002_rows": python(up)})
    with pytest.raises(errors.MigrationError, match=r"002_rows\.py, line 2"):
        planned(path, directory)


def test_a_plan_refuses_what_the_run_would_refuse(path: Target, directory: Path) -> None:
    write(directory, {"004_commit": sql("CREATE TABLE four (a INTEGER)", "COMMIT")})
    with pytest.raises(errors.MigrationError, match="COMMIT"):
        planned(path, directory)


@pytest.mark.only_on("sqlite", "files")
def test_a_plan_attaches_no_file(path: Path, directory: Path) -> None:
    write(
        directory,
        {"004_attach": sql(f"ATTACH '{path.parent / 'other.db'}' AS other", "CREATE TABLE other.t (a INTEGER)")},
    )
    with pytest.raises(errors.MigrationError, match="ATTACH"):
        planned(path, directory)
    assert not path.with_name("other.db").exists()


def test_a_broken_file_or_history_is_refused_as_by_the_run(path: Target, directory: Path) -> None:
    write(directory, {"004_broken": "def up(:"})
    with pytest.raises(errors.LoadError, match=r"004_broken\.py"):
        planned(path, directory)
    write(directory, {"004_broken": table("four")})
    migrate_all(path, directory)
    write(directory, {"003_column": sql(down=None)})
    with pytest.raises(errors.Irreversible, match=r"003_column\.py"):
        planned(path, directory, 0)
    (directory / "002_rows.py").unlink()
    script(path, "DROP TABLE schema_migration_log")  # which keeps the source
    with pytest.raises(errors.MissingMigration):
        planned(path, directory, 0)


@pytest.mark.only_on("sqlite", "migrations of the usage tables")
def test_the_usage_tables_plan_says_what_their_migrations_do(usage_database: peewee.Database) -> None:
    runner = MigrationRunner(usage_database)
    follow, compact, tables = runner.plan(0)
    assert follow.statements[-1] == "DROP TABLE usage_store_state"
    assert compact.statements[-1] == "DROP TABLE usage_snapshot_blocks"
    assert tables.statements[-1] == "DROP TABLE usage_config"
    runner.rollback(0)
    tables, compact, follow = runner.plan()
    assert [str(up.migration) for up in (tables, compact, follow)] == list(
        map(str, find_files.discover(runner.directory, "sqlite"))
    )
    assert sum(statement.startswith("CREATE TABLE usage_") for statement in tables.statements) == 3
    assert "INSERT INTO usage_config DEFAULT VALUES" in tables.statements
    assert sum("CREATE TRIGGER usage_snapshots_" in statement for statement in compact.statements) == 3


def test_what_an_operation_only_tried_is_not_planned(path: Target, directory: Path) -> None:
    drop = "from playhouse.migrate import migrate\nmigrate(migrator.drop_column('one', 'size'))"
    write(directory, {"004_drop": python(drop)})
    *_, (_, _, statements) = planned(path, directory)
    assert statements == ('ALTER TABLE "one" DROP COLUMN "size"',)


def test_a_migration_is_told_where_it_only_runs_on_a_copy(path: Target, tmp_path: Path) -> None:
    source = "import pathlib\n\n\n" + python(
        "told = pathlib.Path(__file__ + '.told')\n"
        "told.write_text((told.read_text() if told.exists() else '') + f'{migrator.dry_run} ')"
    )
    directory = write(tmp_path / "own", {"001_told": source})
    with runner_of(path, directory) as runner:
        runner.plan()
        if not isinstance(path, str):
            rehearse(runner)
        runner.migrate()
        runner.validate(replay=True)
    assert (
        (directory / "001_told.py.told").read_text(encoding="utf-8") == "True False True "
        if isinstance(path, str)
        else "True True False True "
    )
