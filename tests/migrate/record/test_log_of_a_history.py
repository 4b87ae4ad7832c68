"""Each history has its own log. A log with a name by the older rule is found, and the next run renames it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import dump, names, raw, rows, script
from tests.support.migrations import migrate_all, runner_of, sql, table, write
from usage_store import errors
from usage_store.migrate.record.find_log import log_name

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

EDITED = sql("CREATE TABLE other (a INTEGER)", down=["DROP TABLE other"])


def first(path: Path, name: str) -> Path:
    return write(path.parent / f"{name}s_files", {"001_first": table(name)})


def with_old_log(path: Path, history: str, old: str, *, name: str = "one") -> Path:
    """Create a history whose log has a name by the older rule."""
    directory = first(path, name)
    migrate_all(path, directory, table_name=history)
    script(path, f"ALTER TABLE {history}_log RENAME TO {old}")
    return directory


@pytest.mark.parametrize(
    ("history", "log"),
    [
        ("schema_migrations", "schema_migration_log"),
        ("Schema_Migrations", "Schema_Migration_log"),
        ("schema_migration", "schema_migrations_log"),
        ("app_migrations", "app_migrations_log"),
        ("job", "job_log"),
        ("jobs", "jobs_log"),
        ("s", "s_log"),
    ],
)
def test_a_log_is_named_after_its_history(history: str, log: str) -> None:
    assert log_name(history) == log


@pytest.mark.parametrize(
    ("one", "other"), [("job", "jobs"), ("jobs", "job"), ("schema_migration", "schema_migrations")]
)
def test_two_histories_never_have_one_log(path: Path, one: str, other: str) -> None:
    a, b = first(path, "a"), first(path, "b")
    migrate_all(path, a, table_name=one)
    migrate_all(path, b, table_name=other)
    for directory, history in ((a, one), (b, other)):
        with runner_of(path, directory, history) as runner:
            assert runner.status().problems == ()
            assert [entry.name for entry in runner.log.entries()] == ["first"]
            assert runner.validate().ok


def test_an_old_log_is_read_and_then_renamed_in_the_transaction_of_the_next_run(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    write(directory, {"001_first": EDITED})
    with runner_of(path, directory, "jobs") as runner:
        assert [type(problem) for problem in runner.status().problems] == [errors.EditedMigration]
        assert [entry.version for entry in runner.log.entries()] == [1]
        write(directory, {"001_first": table("one"), "002_broken": sql("CREATE TABLE two (a INTEGER)", "no sql")})
        before = dump(path)
        with pytest.raises(errors.MigrationFailed):
            runner.migrate()
        assert dump(path) == before
        assert [entry.version for entry in runner.log.entries()] == [1]
        (directory / "002_broken.py").unlink()
        write(directory, {"002_more": table("more")})
        runner.migrate()
        assert [entry.version for entry in runner.log.entries()] == [1, 2]
        assert runner.log.is_current(), "the fingerprint was taken after it was renamed"
        assert runner.check() == ((), 0)
    assert {"jobs_log"} == {name for name in names(path) if name.endswith("_log")}


@pytest.mark.parametrize("words", [["rollback", "--no-backup"], ["stamp", "1"]])
def test_a_rollback_and_a_stamp_rename_it_too(path: Path, words: list[str]) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    options = ("--database", path, "--directory", directory, "--table", "jobs")
    assert called(*words, *options, cwd=path.parent).returncode == 0
    assert rows(path, "SELECT count(*) FROM jobs_log") == [(2,)]
    assert called("check", *options, cwd=path.parent).returncode in (0, 1)


@pytest.mark.only_on("sqlite", "broken views")
def test_an_old_log_is_renamed_beside_a_view_that_is_broken(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    script(path, "CREATE TABLE gone (a INTEGER); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone")
    write(directory, {"002_more": table("more")})
    with runner_of(path, directory, "jobs") as runner:
        assert len(runner.migrate()) == 1
    assert rows(path, "SELECT count(*) FROM jobs_log") == [(2,)]


@pytest.mark.parametrize(
    "disagreement",
    [
        "UPDATE jobs SET name = 'else'",
        "DELETE FROM jobs WHERE version = 2",
        "UPDATE job_log SET action = 'down' WHERE version = 2",
        "UPDATE job_log SET name = 'else' WHERE version = 1",
    ],
)
def test_a_log_that_does_not_agree_is_left_with_a_notice(path: Path, disagreement: str) -> None:
    directory = write(path.parent / "own", {"001_first": table("one"), "002_second": table("two")})
    migrate_all(path, directory, table_name="jobs")
    script(path, f"ALTER TABLE jobs_log RENAME TO job_log; {disagreement}")
    before = rows(path, "SELECT * FROM job_log")
    with runner_of(path, directory, "jobs") as runner:
        assert any(notice.startswith("job_log does not agree with jobs") for notice in runner.status().notices)
        assert any(notice.startswith("job_log does not agree with jobs") for notice in runner.validate().notices)
        assert runner.log.entries() == ()
        assert rows(path, "SELECT * FROM job_log") == before
    assert "jobs_log" not in names(path)


def test_other_letters_of_a_name_still_agree(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    script(path, "UPDATE job_log SET name = 'First'")
    with runner_of(path, directory, "jobs") as runner:
        assert len(runner.log.entries()) == 1


def test_of_two_histories_that_a_log_agrees_with_the_one_of_its_name_keeps_it(path: Path) -> None:
    migrate_all(path, first(path, "a"), table_name="job")
    migrate_all(path, first(path, "b"), table_name="jobs")
    script(path, "DROP TABLE jobs_log")
    with runner_of(path, first(path, "a"), "job") as runner:
        assert [entry.version for entry in runner.log.entries()] == [1]
        runner.stamp(1)
        assert [entry.action for entry in runner.log.entries()] == ["up", "stamp"]
    with runner_of(path, first(path, "b"), "jobs") as runner:
        assert runner.log.entries() == ()
        assert any(notice.startswith("job_log does not agree with jobs") for notice in runner.status().notices)
        write(path.parent / "bs_files", {"002_more": table("more")})
        runner.migrate()
        assert [entry.version for entry in runner.log.entries()] == [2]
    assert rows(path, "SELECT version FROM job_log") == [(1,), (1,)]


def test_a_history_that_has_its_log_claims_no_other_one(path: Path) -> None:
    migrate_all(path, first(path, "a"), table_name="jobs")
    script(path, "CREATE TABLE job_log AS SELECT * FROM jobs_log")
    migrate_all(path, first(path, "b"), table_name="job")
    assert (rows(path, "SELECT version FROM jobs_log"), len(rows(path, "SELECT * FROM job_log"))) == ([(1,)], 2)


def test_a_new_history_does_not_take_the_old_log_that_has_its_name(path: Path) -> None:
    old = with_old_log(path, "jobs", "job_log")
    migrate_all(path, write(path.parent / "new", {"001_users": table("users")}), table_name="job")
    assert (rows(path, "SELECT name FROM jobs_log"), rows(path, "SELECT name FROM job_log")) == (
        [("first",)],
        [("users",)],
    )
    with runner_of(path, old, "jobs") as runner:
        assert runner.validate().ok
        assert [entry.name for entry in runner.log.entries()] == ["first"]


def test_an_old_log_that_an_older_version_wrote_again_is_named(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    script(path, "CREATE TABLE jobs_log AS SELECT * FROM job_log")
    with runner_of(path, directory, "jobs") as runner:
        assert runner.status().notices[0].startswith("job_log is not read, since jobs_log is the log of jobs")
        migrate_all(path, first(path, "b"), table_name="job")
        assert runner.status().notices == ()


def test_both_names_of_a_log_are_told_to_the_engine_until_it_is_renamed(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    with runner_of(path, directory, "jobs") as runner:
        runner.status()
        assert runner.records.tables() == ("jobs", "job_log", "jobs_log")
        runner.stamp(1)
        assert runner.records.tables() == ("jobs", "jobs_log")


HOSTS = {
    "a table": "CREATE TABLE app_log (id INTEGER PRIMARY KEY, what TEXT)",
    "a view": "CREATE VIEW app_log AS SELECT 1 AS id, 'a' AS what",
}


@pytest.mark.parametrize("theirs", HOSTS.values(), ids=HOSTS)
def test_a_log_of_the_host_is_not_ours(path: Path, theirs: str) -> None:
    script(path, theirs)
    directory = first(path, "one")
    before = dump(path)
    options = ("--database", path, "--directory", directory)
    for words in ([], ["status"], ["check"], ["validate"], ["log"], ["stamp", "1"], ["plan"]):
        done = called(*words, *options, "--table", "app", cwd=path.parent)
        said = done.stdout + done.stderr
        assert done.returncode == 3, (words, said)
        assert "app_log: the log of app needs this name, but it is something else, with the columns id, what" in said
    assert dump(path) == before
    assert called(*options, "--table", "apps", cwd=path.parent).returncode == 0


def test_a_rollback_is_refused_before_it_runs_if_the_log_s_name_is_taken(path: Path) -> None:
    directory = first(path, "one")
    migrate_all(path, directory, table_name="app")
    script(path, f"DROP TABLE app_log; {HOSTS['a table']}")
    before = dump(path)
    with (
        runner_of(path, directory, "app") as runner,
        pytest.raises(errors.HistoryError, match="app_log: the log of app"),
    ):
        runner.rollback()
    assert dump(path) == before


def test_a_runner_that_lives_long_sees_that_another_one_renamed_the_log(path: Path) -> None:
    directory = with_old_log(path, "jobs", "job_log")
    with runner_of(path, directory, "jobs") as runner:
        assert runner.log.table_name == "job_log"
        write(directory, {"002_more": table("more")})
        migrate_all(path, directory, table_name="jobs")
        with raw(path) as other:
            other.execute("SELECT 1 FROM jobs_log")
        assert runner.check() == ((), 0)
        assert [entry.version for entry in runner.log.entries()] == [1, 2]
        assert runner.log.table_name == "jobs_log"
