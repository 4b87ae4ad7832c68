"""`python -m usage_store.migrate` in a shell: its output, its exit codes and the files it leaves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, app, called, command, error, run
from tests.support.databases import dump, files_of, rows, script
from tests.support.migrations import history, table, write
from usage_store.engines import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

TIME = r"\(\d+\.\d ms\)"
SQL = "CREATE TABLE {} (id INTEGER PRIMARY KEY, title TEXT)"


@pytest.mark.quick
def test_migrate_prints_each_step_with_its_time(anywhere: Path) -> None:
    assert re.fullmatch(f"applied 001_one {TIME}\napplied 002_two {TIME}\n", run(anywhere, by=command).stdout)
    assert run(anywhere).stdout == "nothing to migrate: at version 2\n"
    assert history(app(anywhere)) == [1, 2]


def test_rollback_goes_to_the_version_before_or_to_the_one_given(anywhere: Path) -> None:
    run(anywhere)
    assert re.fullmatch(f"rolled back 002_two {TIME}\n", run(anywhere, "rollback").stdout)
    run(anywhere)
    assert re.fullmatch(
        f"rolled back 002_two {TIME}\nrolled back 001_one {TIME}\n", run(anywhere, "rollback", "0").stdout
    )
    assert run(anywhere, "rollback").stdout == "nothing to roll back: at version 0\n"
    assert "version 7 is not applied; allowed: 0" in error(anywhere, "rollback", "7", code=2)


def test_status_lists_what_is_applied_and_what_is_pending(anywhere: Path) -> None:
    named = name_of(app(anywhere))
    assert run(anywhere, "status").stdout == (
        f"version 0 of 2, 2 pending in {named}\n  001_one  pending\n  002_two  pending\n"
    )
    run(anywhere)
    write(anywhere / "own", {"003_three_more": table("three")})
    applied = r"applied \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    expected = (
        f"version 2 of 3, 1 pending in {re.escape(named)}\n  001_one         {applied}\n  002_two         {applied}\n"
    )
    assert re.fullmatch(f"{expected}  003_three_more  pending\n", run(anywhere, "status").stdout)


@pytest.mark.quick
def test_status_as_json(anywhere: Path) -> None:
    run(anywhere)
    write(anywhere / "own", {"003_three": table("three")})
    (anywhere / "own" / "001_one.py").unlink()
    (_, first), (_, second) = rows(app(anywhere), "SELECT version, applied_at FROM schema_migrations")
    assert json.loads(run(anywhere, "status", "--json", code=3).stdout) == {
        "database": name_of(app(anywhere)),
        "current_version": 2,
        "latest_version": 3,
        "pending_count": 1,
        "applied": [
            {"version": 1, "name": "one", "applied_at": first},
            {"version": 2, "name": "two", "applied_at": second},
        ],
        "pending": [{"version": 3, "name": "three"}],
        "problems": [
            {
                "error": "MissingMigration",
                "message": "001_one was applied and its file is gone; restore 001_one.py, or undo it with "
                "`rollback 0 --stored-source`, which runs its Python from the log",
            }
        ],
        "notices": [],
    }


def test_status_check_exits_with_1_while_something_is_pending(anywhere: Path) -> None:
    run(anywhere, "status", "--check", code=1)
    run(anywhere)
    run(anywhere, "status", "--check")


def test_plan_prints_sql_that_runs(anywhere: Path, second_target: Target) -> None:
    printed = run(anywhere, "plan").stdout
    assert printed == f"-- up 001_one\n{SQL.format('one')};\n-- up 002_two\n{SQL.format('two')};\n"
    script(second_target, printed)
    run(anywhere)
    assert run(anywhere, "plan").stdout == "-- nothing to do\n"
    assert run(anywhere, "plan", "1").stdout == "-- down 002_two\nDROP TABLE two;\n"
    assert set(dump(second_target)) == set(dump(app(anywhere))) - {
        "schema_migrations",
        "schema_migration_log",
    }


def test_create_writes_the_next_file(folder: Path) -> None:
    done = command("create", "Add users", "--directory", "own", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "own/003_add_users.py\n", "")
    assert "write 003_add_users.py first" in error(folder, code=7)
    done = command("create", "Add users", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: create needs --directory")


def test_without_options_it_is_usage_db_and_the_usage_tables(tmp_path: Path) -> None:
    for words in ((), ("status",), ("validate",), ("plan",), ("rollback", "--no-backup")):
        done = called(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "" if words else f"created {tmp_path}/usage.db\n")
        assert [path.name for path in tmp_path.iterdir()] == ["usage.db"]
    command(cwd=tmp_path, USAGE_STORE_DATABASE="other.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.db", "usage.db"]


def test_options_stand_before_or_after_the_command_and_a_url_is_a_path(folder: Path) -> None:
    url = f"sqlite:///{folder / 'app.db'}"
    done = command("--database", url, "--table", "mine", "--directory", "own", cwd=folder)
    assert done.returncode == 0
    for words in (["status", "--table", "mine"], ["--table", "mine", "status"]):
        done = command("--database", url, "--directory", "own", "--table", "schema_migrations", *words, cwd=folder)
        assert done.stdout.startswith("version 2 of 2")
    assert history(folder / "app.db", "mine") == [1, 2]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status",), 0),
        (("status", "--json"), 0),
        (("plan",), 0),
        (("validate",), 8),
        (("rollback",), 8),
        (("rollback", "0"), 8),
    ],
)
def test_commands_that_only_read_create_no_file(folder: Path, words: tuple[str, ...], code: int) -> None:
    before = files_of(folder)
    if code:
        said = f"error: {folder}/app.db: no such database; `usage-store migrate --database {folder}/app.db "
        assert error(folder, *words, code=code).startswith(said)
    else:
        run(folder, *words)
    assert files_of(folder) == before


def test_validate_says_valid(anywhere: Path) -> None:
    run(anywhere)
    assert run(anywhere, "validate").stdout == "valid\n"
    full = run(anywhere, "validate", "--full").stdout
    if isinstance(app(anywhere), str):
        assert full.endswith("valid\n")  # before it, what the server cannot check may be named
    else:
        assert full == "valid\n"


def test_only_a_full_validation_compares_indexes_with_their_tables(folder: Path) -> None:
    run(folder)
    script(
        folder / "app.db",
        "CREATE TABLE host (a, b); INSERT INTO host VALUES (1, 2); CREATE INDEX of_host ON host (a);"
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX of_host ON host (b)' "
        "WHERE name = 'of_host'",
    )
    assert run(folder, "validate").stdout == run(folder, "validate", "--quick").stdout == "valid\n"
    assert "missing from index of_host" in called(*OWN, "validate", "--full", cwd=folder).stdout


def test_invalid_times_in_the_history_are_shown_without_an_error(anywhere: Path) -> None:
    named = name_of(app(anywhere))
    run(anywhere)
    script(app(anywhere), f"UPDATE schema_migrations SET applied_at = {2**63 - 1} WHERE version = 1")
    script(app(anywhere), f"UPDATE schema_migrations SET applied_at = {-(2**63)} WHERE version = 2")
    assert run(anywhere, "status").stdout.startswith(f"version 2 of 2, 0 pending in {named}\n  001_one  applied ")
