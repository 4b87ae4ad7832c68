"""The store on databases of every kind: by URL, an application's own, through a pooler, with a role of few rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import psycopg
import pytest

from tests.engines.postgresql.connection.test_lost_connections import end
from tests.engines.postgresql.connection.test_opening_servers import OWN
from tests.support.commands import command
from tests.support.postgresql_servers import execute, for_drivers
from usage_store import (
    get_usage_config,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    register_session,
)
from usage_store.database import bound_database, close_database
from usage_store.errors import DatabaseUnreadable, ReadOnlyDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgresql_servers import Kept


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_database()


def store(number: int) -> None:
    register_session("s")
    assert insert_usage_snapshot({"session_id": "s", "snapshot_data": {"n": number}}) is not None
    assert get_usage_snapshots()[0].data == {"n": number}


@pytest.mark.parametrize("kind", OWN)
def test_an_applications_database_of_each_kind_keeps_the_store(postgresql_url: str, kind: str) -> None:
    own = OWN[kind](for_drivers(postgresql_url))
    proxy = peewee.DatabaseProxy()
    init_database(proxy)
    proxy.initialize(own)
    assert own.is_closed()
    store(1)
    close_database()
    own.connect(reuse_if_open=True)
    init_database(own)
    assert not own.is_closed(), "it stays open if it was open"
    with own.atomic():
        store(2)
    own.close()
    getattr(own, "close_idle", lambda: None)()


def test_a_url_from_the_environment_opens_the_store(monkeypatch: pytest.MonkeyPatch, postgresql_url: str) -> None:
    monkeypatch.setenv("USAGE_STORE_DATABASE", postgresql_url)
    database: Any = init_database()
    assert database.is_closed()
    store(1)
    close_database()
    init_database(readonly=True)
    with pytest.raises(ReadOnlyDatabase, match="was opened for reading only"):
        register_session("t")


def test_a_function_fails_once_after_a_lost_connection(postgresql_url: str) -> None:
    init_database(postgresql_url)
    store(1)
    end(postgresql_url, bound_database())
    with pytest.raises(DatabaseUnreadable, match="was lost; the next call connects again"):
        get_usage_config()
    store(2)


def test_the_store_works_through_a_pooler_and_migrations_do_not(pooled: str, server: Kept, tmp_path: Path) -> None:
    done = command("--database", pooled, "--usage-tables", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "connects to the server directly" in done.stderr.splitlines()[-1]
    init_database(server.url)
    close_database()
    init_database(pooled)
    for number in range(8):
        store(number)
    with bound_database().atomic(), psycopg.connect(pooled) as other:
        store(8)
        assert other.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_role_without_rights_is_told_which_it_lacks(server: Kept, tmp_path: Path) -> None:
    few = server.url.replace("postgres@", "reader@") + "&schema=few"
    execute(server.url, "CREATE SCHEMA few; GRANT USAGE ON SCHEMA few TO reader")
    done = command("--database", few, cwd=tmp_path)
    assert done.returncode == 8, done.stderr
    assert "the role reader has no right CREATE in the schema few" in done.stderr
    init_database(f"{server.url}&schema=few")
    close_database()
    execute(server.url, "GRANT SELECT ON ALL TABLES IN SCHEMA few TO reader")
    init_database(few)
    assert get_usage_config() is not None
    with pytest.raises(DatabaseUnreadable, match=r"the role reader lacks a right in the schema few; .*sqlstate 42501"):
        register_session("s")
