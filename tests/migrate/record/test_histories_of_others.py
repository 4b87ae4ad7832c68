"""History tables of other programs: the runner does not change them, and finds or creates its own tables."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import called, output_of
from tests.support.databases import names, opened, rows, script
from tests.support.engines import differs
from tests.support.migrations import history, table, write
from tests.support.programs import READY, together
from usage_store import get_migration_status, init_database, insert_usage_snapshot, register_session, validate_database
from usage_store.convert import convert_original
from usage_store.errors import DatabaseNewer
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.migrations_folder import usage_tables

if TYPE_CHECKING:
    from tests.support.engines import Place

FILES = sorted({path.name.partition(".")[0] for path in Path(usage_tables().directory).glob("[0-9]*.py")})
NEWEST = len(FILES)
VERSIONS = list(range(1, NEWEST + 1))
SHAPE = "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
FOREIGN = {
    "Rails": (
        "CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);"
        "INSERT INTO schema_migrations VALUES ('20240101000000'), ('1')"
    ),
    "golang-migrate": (
        "CREATE TABLE schema_migrations (version bigint, dirty boolean); "
        "INSERT INTO schema_migrations VALUES (12, false)"
    ),
    "Ecto, empty": "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, inserted_at TEXT)",
    "our columns": f"{SHAPE}; INSERT INTO schema_migrations VALUES (1, 'add_users', 1), (42, 'compact', 2)",
    "our names under other versions": (
        f"{SHAPE}; INSERT INTO schema_migrations VALUES (7, 'add_usage_tracking_tables', 1)"
    ),
    "a view": "CREATE VIEW schema_migrations AS SELECT 1 AS version, 'a' AS name, 0 AS applied_at",
}
FOREIGN_IN_FILES = {
    "not UTF-8": pytest.param(
        "CREATE TABLE schema_migrations (version, name, applied_at);"
        "INSERT INTO schema_migrations VALUES (CAST(x'ff' AS TEXT), CAST(x'fe' AS TEXT), 'now')",
        marks=pytest.mark.only_on("sqlite", "texts that are not UTF-8"),
    ),
    "other letters": pytest.param(
        'CREATE TABLE "Schema_Migrations" (version TEXT)', marks=pytest.mark.only_on("sqlite", "names of tables")
    ),
}


def theirs_in(path: Place) -> list[Any]:
    return rows(path, f"SELECT CAST(version AS {'TEXT' if isinstance(path, str) else 'BLOB'}) FROM schema_migrations")


@pytest.mark.parametrize("theirs", [*FOREIGN.values(), *FOREIGN_IN_FILES.values()], ids=[*FOREIGN, *FOREIGN_IN_FILES])
def test_the_usage_tables_live_beside_the_history_of_another_program(path: Path, theirs: str) -> None:
    script(path, theirs)
    before = theirs_in(path)
    with closing(init_database(path)):
        register_session("s")
        assert insert_usage_snapshot({"session_id": "s", "snapshot_data": {}})
        status = get_migration_status()
        assert (status.current_version, status.pending_count, status.problems) == (NEWEST, 0, ())
        assert "schema_migrations belongs to another program" in status.notices[0]
        assert validate_database()
        assert MigrationRunner(init_database(path)).migrate() == ()
    assert history(path, "usage_schema_migrations") == VERSIONS
    assert theirs_in(path) == before
    assert "usage_schema_migrations_log" in names(path)
    assert "schema_migration_log" not in names(path)


def test_every_command_finds_the_history_beside_another_one(path: Path) -> None:
    script(path, FOREIGN["our columns"])
    before = rows(path, "SELECT * FROM schema_migrations")
    assert output_of(path).count("applied ") == NEWEST
    assert output_of(path) == f"nothing to migrate: at version {NEWEST}\n"
    assert output_of(path, "check") == ""
    status = output_of(path, "status")
    assert f"version {NEWEST} of {NEWEST}, 0 pending" in status
    assert "notice: schema_migrations belongs to another program and stays as it is" in status
    assert not {"convert", "stamp", "problem"}.intersection(status.split())
    assert output_of(path, "validate").endswith("valid\n")
    assert output_of(path, "log").count(" up ") == NEWEST
    assert output_of(path, "plan") == "-- nothing to do\n"
    assert f"-- down {FILES[-1]}" in output_of(path, "plan", str(NEWEST - 1))
    assert "rolled back" in output_of(path, "rollback", "--no-backup")
    assert f"{FILES[-1]}\n" in output_of(path, "rehearse")
    assert output_of(path).count("applied ") == 1
    assert output_of(path, "stamp", str(NEWEST)) == f"stamped {FILES[-1]}\n"
    with closing(init_database(path)) as database:
        assert convert_original(database) is None
    assert output_of(path, "rollback", "0", "--no-backup").count("rolled back") == NEWEST
    assert history(path, "usage_schema_migrations") == []
    assert output_of(path).count("applied ") == NEWEST
    assert history(path, "usage_schema_migrations") == VERSIONS
    assert rows(path, "SELECT * FROM schema_migrations") == before


@pytest.mark.only_on("sqlite", "files")
def test_a_backup_beside_another_history_is_restored(path: Path) -> None:
    script(path, FOREIGN["our columns"])
    output_of(path)
    assert f"app.db.v{NEWEST}." in output_of(path, "backup")
    (backup,) = path.parent.glob("*.backup")
    output_of(path, "rollback", "--no-backup")
    _, _, kept = output_of(path, "restore", str(backup)).partition("kept as ")
    assert f"app.db.v{NEWEST - 1}." in kept
    assert history(path, "usage_schema_migrations") == VERSIONS


BACKUP = pytest.param("backup", marks=pytest.mark.only_on("sqlite", "files"))


@pytest.mark.parametrize("words", ["status", "check", "validate", "plan", "log", BACKUP, "rehearse"])
def test_looking_makes_nothing_beside_another_history(path: Path, words: str) -> None:
    script(path, FOREIGN["Rails"])
    before = names(path)
    done = called(words, "--usage-tables", "--database", path, cwd=path.parent)
    assert done.returncode == (1 if words == "check" else 0)
    if words != "rehearse" or not differs(path, "rehearsals"):
        assert done.stderr == ""
    assert names(path) == before


def test_a_runner_that_lives_long_sees_that_its_name_was_taken_meanwhile(path: Path) -> None:
    with opened(path) as database:
        runner = MigrationRunner(database)
        assert runner.status().pending_count == NEWEST
        assert runner.history.table_name == "schema_migrations"
        script(path, FOREIGN["our columns"])
        assert len(runner.migrate()) == NEWEST
        assert runner.log.table_name == "usage_schema_migrations_log"
    assert history(path) == [1, 42]
    assert history(path, "usage_schema_migrations") == VERSIONS


def test_rows_of_a_newer_version_stay_ours(path: Path) -> None:
    init_database(path).close()
    script(path, "INSERT INTO schema_migrations VALUES (999, 'from_the_future', 1)")
    with pytest.raises(DatabaseNewer, match="999_from_the_future"):
        init_database(path)
    assert "999_from_the_future" in output_of(path, "status", code=5)
    assert "usage_schema_migrations" not in names(path)


@pytest.mark.parametrize("emptied", [SHAPE, f"{FOREIGN['our columns']}; DELETE FROM schema_migrations"])
def test_an_empty_table_of_our_shape_is_taken(path: Path, emptied: str) -> None:
    script(path, emptied)
    init_database(path).close()
    assert history(path) == VERSIONS
    assert "usage_schema_migrations" not in names(path)


def test_a_history_that_began_beside_another_stays_there_when_the_other_one_goes(path: Path) -> None:
    for gone in ("DELETE FROM schema_migrations", "DROP TABLE schema_migrations"):
        script(path, FOREIGN["our columns"] if gone.startswith("DELETE") else "")
        init_database(path).close()
        script(path, gone)
        init_database(path).close()
        assert output_of(path, "rollback", "--no-backup").startswith("rolled back ")
        init_database(path).close()
        assert history(path, "usage_schema_migrations") == VERSIONS
        assert "schema_migrations" not in names(path) or history(path) == []


def test_another_programs_history_that_comes_later_changes_nothing(path: Path) -> None:
    init_database(path).close()
    script(path, "INSERT INTO schema_migrations VALUES (20240101, 'theirs', 1)")
    assert "20240101_theirs" in output_of(path, "status", code=5)
    assert "usage_schema_migrations" not in names(path)


START = f"""
import sys
from usage_store import init_database

{READY}
init_database(sys.argv[1]).close()
"""


def test_processes_that_start_at_once_make_one_history(path: Path) -> None:
    script(path, FOREIGN["golang-migrate"])
    assert [(done.code, done.err) for done in together(3, START, path, cwd=path.parent)] == [(0, "")] * 3
    assert history(path, "usage_schema_migrations") == VERSIONS


def test_a_usage_store_whose_history_was_named_is_found_by_every_call(path: Path) -> None:
    script(path, FOREIGN["Rails"])
    output_of(path, "--usage-tables", "--table", "usage_migrations")
    with closing(init_database(path)):
        assert get_migration_status().current_version == NEWEST
    assert "usage_schema_migrations" not in names(path)


def test_the_usage_tables_own_directory_is_theirs_when_it_is_named(path: Path) -> None:
    assert output_of(path, "--directory", usage_tables().directory).count("applied") == NEWEST
    assert history(path) == VERSIONS


def test_naming_the_history_of_another_directory_gives_no_advice_that_would_spoil_it(path: Path) -> None:
    write(path.parent / "migrations", {"001_users": table("users")})
    output_of(path, "--directory", "migrations", "--table", "schema_migrations")
    for words in (["status"], ["validate"], ["check"], []):
        said = output_of(path, "--usage-tables", "--table", "schema_migrations", *words, code=3)
        assert "version 1 was applied as 'users'" in said
        assert "name another history table with --table" in said
        assert "`stamp" not in said
        assert "convert" not in said
