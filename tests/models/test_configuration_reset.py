"""A reset sets the defaults in the active row. If no row is active, it activates or creates one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import ignore_checks, raw
from tests.support.processes import at_once, meet
from tests.support.programs import TIMEOUT
from usage_store import UsageConfig, init_database, reset_usage_config, update_usage_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from tests.support.databases import Target

DEFAULTS = ("custom", None, "realtime", "auto", "auto", "auto", 10, 0.75, None)
ROWS = (
    "SELECT id, is_active, created_at, plan, custom_limit_tokens, view, timezone, time_format, theme, refresh_rate, "
    "refresh_per_second, reset_hour FROM usage_config ORDER BY id"
)


@pytest.fixture
def writer(usage_database: peewee.Database, store_target: Target) -> Iterator[Any]:  # noqa: ARG001
    """Another program on the same database."""
    with raw(store_target) as connection:
        connection.execute("UPDATE usage_config SET created_at = 1000, updated_at = 1000")
        yield connection


def rows(connection: Any) -> list[Any]:
    return list(connection.execute(ROWS))


def test_the_active_row_is_reset_and_the_others_are_left(writer: Any) -> None:
    update_usage_config({"plan": "pro", "reset_hour": 3})
    writer.execute("INSERT INTO usage_config (id, created_at, plan, is_active) VALUES (9, 5, 'max5', 0)")
    other = rows(writer)[1]
    assert reset_usage_config() is True
    assert rows(writer) == [(1, 1, 1000, *DEFAULTS), other]
    [(updated,)] = writer.execute("SELECT updated_at FROM usage_config WHERE id = 1").fetchall()
    assert updated > 1000


def test_if_no_configuration_is_active_the_newest_becomes_active(writer: Any) -> None:
    writer.execute("UPDATE usage_config SET is_active = 0")
    writer.execute("INSERT INTO usage_config (id, created_at, plan, is_active) VALUES (9, 5, 'max5', 0)")
    assert reset_usage_config() is True
    assert [row[:3] for row in rows(writer)] == [(1, 0, 1000), (9, 1, 5)]
    assert rows(writer)[1][3:] == DEFAULTS
    assert update_usage_config({"plan": "pro"}) is True


def test_if_there_is_no_configuration_one_is_created_with_an_unused_id(writer: Any) -> None:
    writer.execute("DELETE FROM usage_config")
    assert reset_usage_config() is True
    [(row_id, is_active, created_at, *fields)] = rows(writer)
    assert (row_id, is_active, tuple(fields)) == (2, 1, DEFAULTS)
    assert created_at > 1000


@pytest.mark.only_on("sqlite", "broken rows")
def test_a_row_that_another_program_broke_is_not_taken_for_the_active_one(writer: Any) -> None:
    ignore_checks(writer)
    writer.execute("INSERT INTO usage_config (id, created_at, is_active) VALUES (9, 5, 7)")
    broken = rows(writer)[1]
    update_usage_config({"plan": "pro"})
    assert reset_usage_config() is True
    assert rows(writer) == [(1, 1, 1000, *DEFAULTS), broken]


@pytest.mark.parametrize("begin", ["atomic", "BEGIN"])
def test_inside_a_transaction_it_is_a_part_of_that(usage_database: peewee.Database, writer: Any, begin: str) -> None:
    update_usage_config({"plan": "pro"})
    before = rows(writer)
    if begin == "atomic":
        with usage_database.atomic() as transaction:
            assert reset_usage_config() is True
            transaction.rollback()
    else:
        usage_database.execute_sql("BEGIN")
        assert reset_usage_config() is True
        usage_database.execute_sql("ROLLBACK")
    assert rows(writer) == before


def _reset_often(path: Target, rounds: int) -> int:
    with closing(init_database(path, timeout=TIMEOUT)):
        done = 0
        for _ in range(rounds):
            meet()
            done += reset_usage_config()
            meet()
            UsageConfig.delete().execute()
        return done


def test_processes_that_reset_an_empty_table_at_once_create_one_row_and_never_fail(store_target: Target) -> None:
    path = store_target
    init_database(path).close()
    assert at_once([(_reset_often, path, 50)] * 2) == [50, 50]
