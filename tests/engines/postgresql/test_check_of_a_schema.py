"""`check`, `validate`, `stamp` and `adopt` on a server: what they find, and in how many round trips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.databases import opened, raw, script
from tests.support.migrations import THREE, sql, write
from tests.support.postgresql_servers import own_server, skipped_without
from usage_store import init_database
from usage_store.errors import ConfigurationError, HistoryError
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST = 5  # round trips


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", THREE)


def texts(found: Sequence[Exception]) -> list[str]:
    return [str(each) for each in found]


def test_a_check_takes_at_most_five_round_trips(directory: Path) -> None:
    with skipped_without(18), own_server(log_statement="all") as server:
        log = Path(parse_qs(urlsplit(server.url).query)["host"][0]) / "log"

        def statements(*given: Path) -> list[str]:
            with opened(server.url) as database:
                before = len(log.read_text())
                assert MigrationRunner(database, *given).check() == ((), 0)  # type: ignore[arg-type]  # a path
            return re.findall(r"LOG:  (?:statement|execute .*?): .*", log.read_text()[before:])

        init_database(server.url).close()
        assert 0 < len(statements()) <= MOST  # connecting included
        with opened(server.url) as database:
            MigrationRunner(database, directory).migrate()
        assert len(statements(directory)) <= MOST + 1  # two histories are read to find out whose is whose
        assert len(statements()) <= MOST + 1  # another history changed the schema last, so it is compared


def test_a_check_finds_what_was_changed_since_the_last_one(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        assert runner.check() == ((), 3)
        runner.migrate()
        assert runner.check() == ((), 0)
        script(postgresql_url, "ALTER TABLE two ADD COLUMN by_hand int")
        assert texts(runner.check()[0]) == ["two.by_hand is not from a migration"]
        script(postgresql_url, "ALTER TABLE two DROP COLUMN by_hand")
        assert runner.check() == ((), 0)
        write(directory, {"002_two": sql("SELECT 1")})
        assert texts(runner.check()[0])[0].startswith("002_two.py was edited after it was applied")


def test_validate_names_what_is_not_valid(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        runner.migrate()
        assert runner.validate().ok
        script(postgresql_url, "INSERT INTO one VALUES (1, 'x'), (2, 'x')")
        with raw(postgresql_url) as connection, pytest.raises(Exception, match="could not create unique index"):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY once ON one (title)")
        (problem,) = texts(runner.validate().problems)
        assert problem.startswith("index once on one is not valid (1); ")
        assert "REINDEX INDEX or DROP INDEX" in problem


def test_a_full_validation_says_that_amcheck_is_missing(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        runner.migrate()
        report = runner.validate(full=True)
    assert report.ok
    assert report.notices == ("tables and indexes were not checked for damage: that needs CREATE EXTENSION amcheck",)


def test_a_history_is_not_what_has_its_columns_in_other_types_or_letters(postgresql_url: str, directory: Path) -> None:
    script(postgresql_url, 'CREATE TABLE own_migrations ("Version" text, name text, applied_at timestamptz)')
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        with pytest.raises((ConfigurationError, HistoryError), match="not a history table"):
            runner.check()


def test_a_history_with_capital_letters_is_not_the_one_without(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        MigrationRunner(database, directory, "Own_History").migrate(1)
        assert MigrationRunner(database, directory, "Own_History").check() == ((), 2)
        assert MigrationRunner(database, directory, "own_history").status().applied_migrations == ()


def test_a_history_whose_log_would_have_a_cut_name_is_refused(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory, "h" * 60)
        with pytest.raises(ConfigurationError, match="PostgreSQL cuts names after 63 bytes; choose a shorter name"):
            runner.migrate()
        assert database.get_tables() == []
        MigrationRunner(database, directory, "h" * 59).migrate()
        assert MigrationRunner(database, directory, "h" * 59).check() == ((), 0)


@pytest.mark.parametrize(
    ("source", "table", "ran"),
    [
        ("playhouse", "schema_migration", "name varchar(255), applied timestamp"),
        ("peewee_migrate", "migratehistory", "name varchar(255), migrated_at timestamptz"),
    ],
)
def test_the_history_of_another_runner_is_found_and_taken_over(
    postgresql_url: str, directory: Path, source: str, table: str, ran: str
) -> None:
    script(postgresql_url, f"CREATE TABLE {table} (id serial PRIMARY KEY, {ran})")
    script(postgresql_url, f"INSERT INTO {table} VALUES (DEFAULT, '001_one', '2026-01-02 03:04:05')")
    script(postgresql_url, "CREATE TABLE one (id integer PRIMARY KEY, title text)")
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        (problem,) = texts(runner.check()[0])
        assert problem.startswith(f"{table} records that {source} has run 001_one")
        (adopted,) = runner.adopt("playhouse" if source == "playhouse" else "peewee_migrate")
        assert str(adopted) == "001_one"
        assert runner.check()[1] == 2
        runner.migrate()
        assert runner.check() == ((), 0)


def test_tables_of_other_programs_are_left_alone(postgresql_url: str, directory: Path) -> None:
    script(
        postgresql_url,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); "
        "CREATE TABLE django_migrations (id bigserial, app text, name text, applied timestamptz); "
        "CREATE TABLE schema_migrations (version varchar(255) PRIMARY KEY)",
    )
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        runner.migrate()
        assert runner.check() == ((), 0)
        assert runner.validate().ok
        assert runner.stamp(3)


def test_a_stamp_records_what_was_not_run(postgresql_url: str, directory: Path) -> None:
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database, directory)
        assert [each.version for each in runner.stamp(2)] == [1, 2]
        problems, waiting = runner.check()
        assert (texts(problems), waiting) == ([], 1)
        assert "not compared" in " ".join(runner.validate().notices)
        assert texts(runner.validate().problems) == ["table one is missing", "table two is missing"]
