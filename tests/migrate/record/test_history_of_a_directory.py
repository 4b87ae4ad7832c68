"""A history table needs no --table: it is found by its rows, or named after its folder, and never another folder's."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import output_of
from tests.support.databases import names, script
from tests.support.migrations import history, sql, table, write
from usage_store import init_database
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.migrations_folder import usage_tables

VERSIONS = sorted({int(path.name[:3]) for path in Path(usage_tables().directory).glob("[0-9]*.py")})


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("migrations", "app_migrations"),
        ("Migrations", "app_migrations"),
        ("jobs", "jobs_migrations"),
        ("my-app.db", "my_app_db_migrations"),
        ("2024", "app_2024_migrations"),
        ("schema", "app_schema_migrations"),
        ("usage_schema", "app_usage_schema_migrations"),
        ("a'\"b", "a__b_migrations"),
    ],
)
def test_own_migrations_have_a_history_named_after_their_folder(path: Path, folder: str, expected: str) -> None:
    directory = write(path.parent / folder, {"001_users": table("users")})
    assert output_of(path, "--directory", str(directory)).startswith("applied 001_users ")
    assert names(path) >= {expected, f"{expected}_log", "users"}
    assert "schema_migrations" not in names(path)
    init_database(path).close()
    assert history(path) == VERSIONS
    again = output_of(path, "--directory", f"{directory}/")
    assert again == "nothing to migrate: at version 1\n"
    assert output_of(path, "rollback", "--no-backup", "--directory", str(directory)).startswith("rolled back 001_users")


def test_a_folder_is_named_by_its_place_and_not_by_how_it_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write(path.parent / "jobs", {"001_users": table("users")})
    output_of(path, "--directory", str(directory))
    monkeypatch.chdir(directory)
    with closing(init_database(path)) as database:
        assert MigrationRunner(database, ".").current_version() == 1
        assert MigrationRunner(database, Path("../jobs")).migrate() == ()


def test_own_migrations_in_schema_migrations_stay_there_and_the_usage_tables_go_beside(path: Path) -> None:
    directory = write(path.parent / "migrations", {"001_users": table("users")})
    words = ("--directory", str(directory))
    output_of(path, *words, "--table", "schema_migrations")
    said = output_of(path, "--usage-tables") + output_of(path, "status") + output_of(path, "validate")
    assert not {"convert", "stamp", "problem:"}.intersection(said.replace("`", " ").split())
    write(directory, {"002_more": table("more")})
    assert output_of(path, *words).startswith("applied 002_more ")
    assert (history(path), history(path, "usage_schema_migrations")) == ([1, 2], VERSIONS)
    assert output_of(path, *words, "validate") == "valid\n"
    assert output_of(path, *words, "rollback", "0", "--no-backup").count("rolled back") == 2
    assert output_of(path).startswith("nothing to migrate")
    assert history(path, "usage_schema_migrations") == VERSIONS


def test_two_folders_of_one_name_are_told_to_name_their_histories(path: Path) -> None:
    for place, name in (("one", "users"), ("two", "jobs")):
        (path.parent / place).mkdir()
        write(path.parent / place / "migrations", {f"001_{name}": table(name)})
    output_of(path, "--directory", "one/migrations")
    for words in ([], ["status"], ["check"], ["plan"], ["log"], ["stamp", "1"]):
        said = output_of(path, "--directory", "two/migrations", *words, code=2)
        assert (
            "app_migrations is the history of other migrations: it records version 1, 'users', and no migration of"
            in said
        )
        assert "--table NAME" in said
    assert output_of(path, "--directory", "two/migrations", "--table", "jobs_history").startswith("applied 001_jobs")
    assert output_of(path, "--directory", "one/migrations").startswith("nothing to migrate")


def test_two_folders_with_files_of_one_name_and_other_texts_are_not_taken_for_one(path: Path) -> None:
    for place, name in (("one", "users"), ("two", "jobs")):
        (path.parent / place).mkdir()
        write(path.parent / place / "migrations", {"001_initial": table(name), "002_more": table(f"{name}_more")})
    output_of(path, "--directory", "one/migrations")
    for words in ([], ["status"], ["check"], ["validate"], ["rollback", "0"]):
        said = output_of(path, "--directory", "two/migrations", *words, code=2)
        assert "app_migrations records 002_more, but its log has another text than 002_more.py in two/migra" in said
        assert "--table" in said
    assert "jobs" not in names(path)
    assert output_of(path, "--directory", "two/migrations", "--table", "jobs_history").count("applied ") == 2


def test_a_folder_of_another_name_with_files_of_the_same_names_has_its_own_history(path: Path) -> None:
    for name in ("users", "jobs"):
        write(path.parent / name, {"001_initial": table(name)})
    output_of(path, "--directory", "users")
    assert output_of(path, "--directory", "jobs").startswith("applied 001_initial")
    assert (history(path, "users_migrations"), history(path, "jobs_migrations")) == ([1], [1])
    for name in ("users", "jobs"):
        assert output_of(path, "--directory", name, "validate").endswith("valid\n")


def test_one_that_took_schema_migrations_does_not_hide_the_histories_of_others(path: Path) -> None:
    for name in ("users", "jobs"):
        write(path.parent / name, {"001_initial": table(name)})
    output_of(path, "--directory", "jobs")
    output_of(path, "--directory", "users", "--table", "schema_migrations")
    for name in ("users", "jobs"):
        assert output_of(path, "--directory", name).startswith("nothing to migrate")
        write(path.parent / name, {"002_more": table(f"{name}_more")})
        assert output_of(path, "--directory", name).startswith("applied 002_more")
    assert (history(path), history(path, "jobs_migrations")) == ([1, 2], [1, 2])


def test_a_file_that_was_edited_is_still_this_directorys(path: Path) -> None:
    directory = write(path.parent / "own", {"001_one": table("one"), "002_two": table("two")})
    output_of(path, "--directory", "own")
    for file, name in (("001_one.py", "one"), ("002_two.py", "two")):
        (directory / file).write_text("# edited\n" + table(name), encoding="utf-8")
    assert "comments or layout only" in output_of(path, "--directory", "own", "status")
    (directory / "002_two.py").write_text(table("another"), encoding="utf-8")
    assert "002_two.py was edited" in output_of(path, "--directory", "own", "status", code=3)
    (directory / "001_one.py").write_text(table("yet_another"), encoding="utf-8")
    assert "if that file was edited, use --table own_migrations;" in output_of(
        path, "--directory", "own", "status", code=2
    )
    assert "001_one.py was edited" in output_of(
        path, "--directory", "own", "--table", "own_migrations", "status", code=3
    )


@pytest.mark.parametrize("words", [("--table", "kept_elsewhere"), ()])
def test_a_history_is_found_again_after_its_folder_was_renamed_or_its_table_was_named(
    path: Path, words: tuple[str, ...]
) -> None:
    write(path.parent / "old_name", {"001_users": sql("CREATE TABLE IF NOT EXISTS users (a TEXT)")})
    output_of(path, "--directory", "old_name", *words)
    (path.parent / "old_name").rename(path.parent / "new_name")
    write(path.parent / "new_name", {"002_jobs": table("jobs")})
    assert output_of(path, "--directory", "new_name").count("applied") == 1
    assert "new_name_migrations" not in names(path)
    assert output_of(path, "--directory", "new_name", "status").startswith("version 2 of 2")


def test_a_table_that_only_looks_like_a_history_is_not_taken_for_one(path: Path) -> None:
    script(
        path,
        "CREATE TABLE notes (version INTEGER, name TEXT, applied_at INTEGER); CREATE TABLE note_log (version TEXT);"
        "INSERT INTO notes VALUES (1, 'users', 1);"
        'CREATE TABLE "odd \' name" (version TEXT, name TEXT, applied_at TEXT)',
    )
    write(path.parent / "jobs", {"001_users": table("users")})
    assert output_of(path, "--directory", "jobs").startswith("applied 001_users")
    assert history(path, "jobs_migrations") == [1]


def test_a_runner_without_a_table_goes_by_the_same_rule(path: Path) -> None:
    directory = write(path.parent / "migrations", {"001_users": table("users")})
    with closing(init_database(path)) as database:
        runner = MigrationRunner(database, directory)
        assert len(runner.migrate()) == 1
        assert (runner.history.table_name, runner.log.table_name) == ("app_migrations", "app_migrations_log")
        status: Any = json.loads(output_of(path, "status", "--json", "--directory", str(directory)))
        assert status["current_version"] == runner.current_version() == 1
