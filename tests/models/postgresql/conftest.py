"""The usage tables on a PostgreSQL server, and a connection of their host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import opened, raw
from tests.support.events import apply, events_table
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host(any_postgresql_url: str) -> Iterator[Any]:
    """Give the host's connection: psycopg's, in autocommit."""
    with raw(any_postgresql_url) as connection:
        yield connection


@pytest.fixture
def store(any_postgresql_url: str) -> Iterator[peewee.PostgresqlDatabase]:
    """Give our database in the same schema, bound and without tables."""
    with opened(any_postgresql_url) as database, database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        assert isinstance(database, peewee.PostgresqlDatabase)
        yield database


@pytest.fixture
def followed(host: Any, store: peewee.PostgresqlDatabase) -> Any:
    """Give the host's connection with followed events.

    Session a has events 1 and 2, b has event 3; each has 2 snapshots.
    """
    host.execute(events_table())
    apply(store, 1, 2, 3)
    host.execute("INSERT INTO events (session_id) VALUES ('a'), ('a'), ('b')")
    host.execute(
        "INSERT INTO usage_snapshots (session_id, snapshot_data) "
        """VALUES ('a', '{"of": "a"}'), ('b', '{"of": "b"}'), ('a', '{"of": "a"}'), ('b', '{"of": "b"}')"""
    )
    return host
