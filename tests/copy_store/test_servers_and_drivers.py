"""Copies between servers, with an application's own database of the older driver, and of the real data."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.benchmarks.stream import SHARED, Row, original
from tests.copy_store.conftest import ROWS, content, fill, next_id
from tests.support.postgresql_servers import execute, for_drivers, new_schema, schema_of
from usage_store import (
    close_database,
    init_database,
    insert_usage_snapshots,
    register_sessions,
)
from usage_store.copy_store import copy_store
from usage_store.errors import DatabaseUnreadable
from usage_store.models.postgresql.rows import copy_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def second() -> Iterator[str]:
    """Give the URL of another empty schema on the server."""
    with new_schema() as url:
        yield url


def test_a_store_goes_to_each_version_of_the_server_and_back(
    compacted: Path, any_postgresql_url: str, tmp_path: Path
) -> None:
    there = copy_store(compacted, any_postgresql_url)
    back = copy_store(any_postgresql_url, tmp_path / "back.db")
    assert (there.ok, back.ok, back.sessions) == (True, True, there.sessions)
    assert content(tmp_path / "back.db") == content(any_postgresql_url) == content(compacted)


@pytest.mark.parametrize("limit", [("_PAGE_ROWS", 7), ("_PAGE_BYTES", 500)])
def test_a_store_goes_from_one_schema_of_a_server_to_another(
    postgresql_url: str, second: str, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, int]
) -> None:
    monkeypatch.setattr(copy_rows, *limit)
    fill(postgresql_url)
    done = copy_store(postgresql_url, second)
    assert (done.ok, done.copied) == (True, ROWS)
    assert content(second) == content(postgresql_url)


@pytest.fixture
def role(postgresql_url: str, second: str) -> Iterator[str]:
    """Give the parameter of a URL for a role that may read the one store, and write the tables of the other."""
    name = f"copies_{schema_of(second)}"
    init_database(second)
    close_database()
    fill(postgresql_url)
    execute(second, f"CREATE ROLE {name}")
    for url, rights in ((postgresql_url, "SELECT"), (second, "ALL")):
        schema = schema_of(url)
        execute(
            url, f"GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {name}"
        )
    yield f"&options=-crole%3D{name}"
    execute(second, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_that_may_only_read_copies_and_no_id_is_given_twice(postgresql_url: str, second: str, role: str) -> None:
    assert copy_store(f"{postgresql_url}{role}", second).ok
    assert next_id(second) == ROWS + 1


def test_a_role_that_may_not_raise_ids_is_told_so_before_a_row_is_written(
    postgresql_url: str, second: str, role: str
) -> None:
    with pytest.raises(
        DatabaseUnreadable, match=r"a right on the sequence usage_\w+ in the schema t_.*ON ALL SEQUENCES"
    ):
        copy_store(postgresql_url, f"{second}{role}")
    assert content(second)["usage_snapshots"] == []


def test_an_application_with_the_older_driver_copies_to_the_server_and_from_it(
    compacted: Path, postgresql_url: str, tmp_path: Path
) -> None:
    with closing(peewee.PostgresqlDatabase(for_drivers(postgresql_url))) as database:
        database.connect()
        assert type(database.connection()).__module__.startswith("psycopg2")
        assert copy_store(compacted, database).ok
        assert copy_store(compacted, database, resume=True).copied == 0
        assert copy_store(database, tmp_path / "back.db").ok
    assert content(tmp_path / "back.db") == content(postgresql_url) == content(compacted)


@pytest.mark.skipif(not SHARED.exists(), reason=f"the real snapshots are not at {SHARED}")
def test_the_real_snapshots_go_to_the_server_and_back_with_equal_hashes_and_texts(
    postgresql_url: str, tmp_path: Path
) -> None:
    snapshots = original()
    init_database(tmp_path / "real.db")
    register_sessions({row.session_id for row in snapshots})
    insert_usage_snapshots(row._asdict() for row in snapshots)
    close_database()
    there = copy_store(tmp_path / "real.db", postgresql_url)
    back = copy_store(postgresql_url, tmp_path / "back.db")
    assert (there.ok, back.ok, back.copied) == (True, True, len(snapshots))
    assert back.sessions == there.sessions
    for target in (postgresql_url, tmp_path / "back.db"):
        assert [Row(*row[1:]) for row in content(target)["usage_snapshots"]] == snapshots
