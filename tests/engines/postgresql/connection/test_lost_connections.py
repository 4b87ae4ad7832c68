"""Connections that the server, or the network, has ended."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.postgresql_servers import execute, for_drivers, own_server
from usage_store import (
    UsageSnapshot,
    close_database,
    get_usage_config,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    link_events,
    register_session,
    validate_database,
)
from usage_store.engines import engine_of, open_database
from usage_store.errors import DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.postgresql.connection.our_connections import OurServer


@pytest.fixture
def database(postgresql_url: str) -> Iterator[OurServer]:
    with closing(open_database(postgresql_url)) as opened:
        opened.execute_sql("CREATE TABLE items (id bigint)")
        yield opened  # type: ignore[misc]


def end(url: str, database: peewee.Database) -> None:
    """End the connection of this thread, as an administrator does."""
    pid = database.connection().info.backend_pid
    execute(url.partition("&schema")[0], f"SELECT pg_terminate_backend({pid}, 5000)")


def count(database: peewee.Database) -> int:
    (found,) = database.execute_sql("SELECT count(*) FROM items").fetchone()
    return int(found)


def test_after_a_lost_connection_one_call_fails_and_the_next_one_connects(
    database: OurServer, postgresql_url: str
) -> None:
    end(postgresql_url, database)
    with pytest.raises(DatabaseUnreadable, match="the connection to the server was lost; the next call connects again"):
        count(database)
    assert count(database) == 0
    (schema,) = database.execute_sql("SELECT current_setting('lock_timeout')").fetchone()
    assert schema == "5s", "the new connection has the settings"


def test_a_transaction_also_fails_once(database: OurServer, postgresql_url: str) -> None:
    end(postgresql_url, database)
    with pytest.raises(DatabaseUnreadable, match="was lost"), database.atomic():
        pass
    with database.atomic():
        database.execute_sql("INSERT INTO items VALUES (1)")
    assert count(database) == 1


def test_a_transaction_in_whose_middle_the_connection_is_lost_stores_nothing(
    database: OurServer, postgresql_url: str
) -> None:
    with pytest.raises(DatabaseUnreadable, match="was lost"), database.atomic():  # noqa: PT012  one transaction
        database.execute_sql("INSERT INTO items VALUES (1)")
        end(postgresql_url, database)
        database.execute_sql("INSERT INTO items VALUES (2)")
    assert count(database) == 0


def test_a_commit_after_a_loss_that_the_program_passed_over_raises(database: OurServer, postgresql_url: str) -> None:
    with pytest.raises(DatabaseUnreadable, match="so nothing of the transaction was stored"), database.atomic():  # noqa: PT012
        database.execute_sql("INSERT INTO items VALUES (1)")
        end(postgresql_url, database)
        for _ in range(2):
            with pytest.raises(DatabaseUnreadable):
                database.execute_sql("INSERT INTO items VALUES (2)")
    assert count(database) == 0


def test_the_error_of_a_block_is_not_masked_by_the_loss(database: OurServer, postgresql_url: str) -> None:
    with pytest.raises(ZeroDivisionError), database.atomic():  # noqa: PT012  one transaction
        end(postgresql_url, database)
        raise ZeroDivisionError
    assert count(database) == 0


def test_a_commit_after_an_error_that_the_program_passed_over_raises(database: OurServer) -> None:
    with pytest.raises(peewee.InternalError, match="so nothing of it was stored"), database.atomic():  # noqa: PT012
        database.execute_sql("INSERT INTO items VALUES (1)")
        with suppress(peewee.ProgrammingError):
            database.execute_sql("SELECT nothing")
    assert count(database) == 0
    with database.atomic():
        database.execute_sql("INSERT INTO items VALUES (1)")
        with suppress(peewee.ProgrammingError), database.atomic():
            database.execute_sql("SELECT nothing")
    assert count(database) == 1


def test_a_server_that_is_stopped_and_started_again() -> None:
    with own_server() as server, closing(open_database(server.url)) as database:
        server.stop()
        with pytest.raises(DatabaseUnreadable, match="was lost"):
            database.execute_sql("SELECT 1")
        with pytest.raises(DatabaseUnreadable, match="cannot be reached"):
            database.execute_sql("SELECT 1")
        server.start()
        assert database.execute_sql("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("newer", [False, True])
def test_an_applications_database_that_lost_its_connection_is_told_what_helps(
    postgresql_url: str, *, newer: bool
) -> None:
    own = peewee.PostgresqlDatabase(postgresql_url.partition("&schema")[0], prefer_psycopg3=newer)
    own.connect()
    end(postgresql_url, own)
    for _ in range(2):
        with pytest.raises((peewee.DatabaseError, peewee.InterfaceError)) as caught:
            own.execute_sql("SELECT 1")
        with pytest.raises(DatabaseUnreadable, match=r"was lost; close\(\) the database, and its next use connects"):
            engine_of(own).raise_of_a_statement(caught.value, "here")
    assert not engine_of(own).in_transaction(own), "else nothing could be closed"
    own.close()
    assert own.execute_sql("SELECT 1").fetchone() == (1,)
    own.close()


@pytest.mark.parametrize("newer", [False, True])
def test_a_function_on_an_applications_database_raises_until_it_is_closed(postgresql_url: str, *, newer: bool) -> None:
    url = for_drivers(postgresql_url)
    own = init_database(peewee.PostgresqlDatabase(url, prefer_psycopg3=newer))
    own.connect()
    end(postgresql_url, own)
    given = {"session_id": "s", "snapshot_data": {}}
    for call in (
        get_usage_config,
        get_usage_config,
        lambda: register_session("s"),
        lambda: insert_usage_snapshot(given),
        lambda: insert_usage_snapshots([given]),
        lambda: list(UsageSnapshot.between()),
        validate_database,
        link_events,
    ):
        with pytest.raises(DatabaseUnreadable, match=r"was lost; close\(\) the database, and its next use connects"):
            call()
    own.close()
    assert register_session("s")
    close_database()


def test_closing_all_closes_the_idle_connections_of_other_threads_and_none_in_use(database: OurServer) -> None:
    go, done = threading.Event(), threading.Barrier(3)
    counts: list[int] = []

    def work(*, inside: bool) -> None:
        with database.atomic() if inside else database.connection_context():
            count(database)
            done.wait()
            go.wait()
            counts.append(count(database))
        database.close()

    threads = [threading.Thread(target=work, kwargs={"inside": inside}) for inside in (True, False)]
    for thread in threads:
        thread.start()
    done.wait()
    made = [each for each in database._made if each is not database.connection()]
    engine_of(database).close_all(database)
    assert sorted(each.closed for each in made) == [False, True]
    go.set()
    for thread in threads:
        thread.join()
    assert counts == [0, 0], "the one that was closed has connected again"


def test_a_connection_is_closed_at_the_end_of_its_thread(database: OurServer) -> None:
    before = {id(each) for each in database._made}
    kept: list[object] = []

    def work() -> None:
        kept.append(database.connection())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert id(kept[0]) not in before
    assert kept[0].closed  # type: ignore[attr-defined]
