"""Rows that are stored, and rows that are refused, on a PostgreSQL server with both drivers."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import raw
from tests.support.postgresql_servers import for_drivers, schema_of
from usage_store.errors import InvalidValue, RejectedInput, UnknownSession
from usage_store.models import MODELS, UsageSession, UsageSnapshot
from usage_store.models.postgresql.rows.configuration_row import reset_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Target

DRIVERS = [False, True]  # whether peewee prefers psycopg 3
NOT_JSON = [
    "{",
    "",
    "NaN",
    "[1,]",
    "12:3",  # what the table's CHECK takes for a reference
    "'a'",
    '{"a": "\0"}',
    '"\ud800"',
    "x" * 100,
    "[" * 3000 + "]" * 3000,
    "[" * 20_000 + "]" * 20_000,
]
JSON = ["{}", '{"a": 1.10, "a": 2}', "1e400", '"\\u0000\\ud800"', " [1,\t2]\n", '"12:3"', '{"ä": "日本 🎉"}']


@pytest.fixture(params=DRIVERS, ids=["psycopg2", "psycopg3"])
def store(
    request: pytest.FixtureRequest, usage_database: peewee.Database, store_target: Target
) -> Iterator[peewee.PostgresqlDatabase]:
    """Give a database object of a host, with the models bound to it."""
    del usage_database  # it has made the tables
    options = f"-c search_path={schema_of(str(store_target))}"
    database = peewee.PostgresqlDatabase(for_drivers(str(store_target)), prefer_psycopg3=request.param, options=options)
    with database.connection_context(), database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        UsageSession.register("s")
        yield database


def stored(target: Target) -> list[str]:
    """Return the texts that another connection sees."""
    with raw(target) as other:
        return [text for (text,) in other.execute("SELECT snapshot_data FROM usage_snapshots ORDER BY id")]


@pytest.mark.usefixtures("store")
def test_texts_come_back_byte_for_byte(store_target: Target) -> None:
    for text in JSON:
        assert UsageSnapshot.record("s", text).snapshot_data == text
    assert UsageSnapshot.record_many({"session_id": "s", "snapshot_data": text} for text in JSON) == len(JSON)
    assert stored(store_target) == JSON * 2
    assert [row.snapshot_data for row in UsageSnapshot.recent_rows("s")] == [*reversed(JSON * 2)]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_text_that_is_not_json_is_refused_and_a_transaction_goes_on(
    store: peewee.PostgresqlDatabase, store_target: Target, *, inside: bool
) -> None:
    with store.atomic() if inside else nullcontext():
        for text in NOT_JSON:
            with pytest.raises(InvalidValue, match=r"^snapshot_data: "):
                UsageSnapshot.record("s", text)
            with pytest.raises(InvalidValue, match=r"^snapshot 1: snapshot_data: "):
                UsageSnapshot.record_many({"session_id": "s", "snapshot_data": each} for each in ("{}", text))
            with pytest.raises(InvalidValue, match=r"^snapshot_data: "):
                UsageSnapshot(session="s", snapshot_data=text).save()
        UsageSnapshot.record("s", "1")
    assert stored(store_target) == ["1"]


def test_json_that_is_too_deep_for_the_server_alone_is_refused_and_a_transaction_goes_on(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    store.execute_sql("SET max_stack_depth = '100kB'")
    with store.atomic():
        with pytest.raises(InvalidValue, match="JSON that is not nested this deeply"):
            UsageSnapshot.record("s", "[" * 900 + "]" * 900)
        UsageSnapshot.record("s", "1")
    assert stored(store_target) == ["1"]


def test_an_unknown_session_is_refused_and_a_transaction_goes_on(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    for begin, end in (("BEGIN", "COMMIT"), ("SELECT 1", "SELECT 1")):
        store.execute_sql(begin)
        with pytest.raises(UnknownSession):
            UsageSnapshot.record("other", "{}")
        with pytest.raises(UnknownSession, match=r"^snapshot 2: "):
            UsageSnapshot.record_many({"session_id": each, "snapshot_data": "{}"} for each in ("s", "s", "other"))
        UsageSnapshot.record("s", "1")
        store.execute_sql(end)
    assert stored(store_target) == ["1", "1"]


def test_a_session_that_another_connection_deletes_at_this_moment_is_refused_and_the_transaction_goes_on(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    UsageSession.register_many(["gone", "gone too"])
    with raw(store_target) as other:
        for inside, session in ((True, "gone"), (False, "gone too")):
            other.execute("BEGIN")
            other.execute("DELETE FROM usage_sessions WHERE session_id = %s", (session,))
            commit = threading.Timer(0.3, other.execute, ("COMMIT",))
            commit.start()
            with store.atomic() if inside else nullcontext():
                with pytest.raises(UnknownSession):
                    UsageSnapshot.record(session, "{}")
                UsageSnapshot.record("s", "1")
            commit.join()
    assert stored(store_target) == ["1", "1"]


def test_a_configuration_that_another_connection_creates_at_this_moment_is_reset_too(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    with raw(store_target) as other:
        other.execute("DELETE FROM usage_config")
        other.execute("BEGIN")
        other.execute("INSERT INTO usage_config (plan, is_active) VALUES ('pro', 1)")
        commit = threading.Timer(0.3, other.execute, ("COMMIT",))
        commit.start()
        reset_configuration(store, ("custom", None, "realtime", "auto", "auto", "auto", 10, 0.75, None))
        commit.join()
        assert other.execute("SELECT plan, is_active FROM usage_config").fetchall() == [("custom", 1)]


@pytest.mark.usefixtures("store")
def test_a_session_id_of_more_than_1000_bytes_is_refused_before_it_is_sent(store_target: Target) -> None:
    longest = "é" * 500
    assert UsageSession.register_many([longest, "x" * 1000]) == 2
    UsageSnapshot.record(longest, "{}")
    UsageSnapshot(session=longest, snapshot_data="1").save()
    too_long = longest + "x"
    for refused in (
        lambda: UsageSession.register_many(["new", too_long]),
        lambda: UsageSnapshot.record(too_long, "{}"),
        lambda: UsageSession.create(session_id=too_long),
        lambda: UsageSnapshot.bulk_create([UsageSnapshot(session=too_long, snapshot_data="1")]),
    ):
        with pytest.raises(InvalidValue, match=r"^session_id: .* at most 1,000 bytes on PostgreSQL"):
            refused()
    with pytest.raises(InvalidValue, match=r"^snapshot 1: session_id: .* at most 1,000 bytes"):
        UsageSnapshot.record_many({"session_id": each, "snapshot_data": "{}"} for each in ("s", too_long))
    assert UsageSnapshot.recent(too_long) == []
    assert stored(store_target) == ["{}", "1"]
    with raw(store_target) as other:
        assert other.execute("SELECT count(*) FROM usage_sessions").fetchone() == (3,)


@pytest.mark.usefixtures("store")
def test_a_row_that_a_trigger_of_the_host_leaves_out_is_refused(store_target: Target) -> None:
    with raw(store_target) as host:
        host.execute("CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        host.execute(
            "CREATE TRIGGER leave BEFORE INSERT ON usage_snapshots FOR EACH ROW WHEN (NEW.snapshot_data = '0') "
            "EXECUTE FUNCTION leave()"
        )
    with pytest.raises(RejectedInput, match="a trigger on usage_snapshots left the snapshot out"):
        UsageSnapshot.record("s", "0")
    assert UsageSnapshot.record_many({"session_id": "s", "snapshot_data": each} for each in "0120") == 2
    assert stored(store_target) == ["1", "2"]


def test_an_error_of_a_trigger_of_the_host_is_raised_as_it_is(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    with raw(store_target) as host:
        host.execute("CREATE FUNCTION check_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM ''x''::json; END'")
        host.execute(
            "CREATE TRIGGER check_it BEFORE INSERT ON usage_snapshots FOR EACH ROW EXECUTE FUNCTION check_it()"
        )
    with pytest.raises(peewee.DataError, match="invalid input syntax for type json"):
        UsageSnapshot.record("s", "0")
    with store.atomic() as transaction:
        with pytest.raises(peewee.DataError, match="invalid input syntax for type json"):
            UsageSnapshot.record("s", "0")
        transaction.rollback()


@pytest.mark.usefixtures("store")
def test_many_rows_go_in_together_or_not_at_all(store_target: Target) -> None:
    rows = [{"session_id": "s", "snapshot_data": str(number)} for number in range(1200)]
    assert UsageSnapshot.record_many(rows) == 1200
    with pytest.raises(InvalidValue, match=r"^snapshot 1200: "):
        UsageSnapshot.record_many([*rows, {"session_id": "s", "snapshot_data": "{" * 30}])
    assert stored(store_target) == [str(number) for number in range(1200)]


@pytest.mark.usefixtures("store")
def test_sessions_are_registered_together_or_not_at_all(store_target: Target) -> None:
    assert UsageSession.register_many(["b", "a", "ä", "a", "s"]) == 3
    assert UsageSession.register_many([]) == 0
    with pytest.raises(InvalidValue):
        UsageSession.register_many(["c", "\ud800"])
    with raw(store_target) as other:
        found = other.execute('SELECT session_id FROM usage_sessions ORDER BY session_id COLLATE "C"').fetchall()
    assert [name for (name,) in found] == ["a", "b", "s", "ä"]
    assert [(size.session_id, size.snapshots) for size in UsageSession.sizes()] == [(each, 0) for each in "absä"]


def test_a_role_that_may_only_insert_and_read_can_store_outside_a_transaction(
    store: peewee.PostgresqlDatabase, store_target: Target
) -> None:
    role, schema = f"writer_{schema_of(str(store_target))}", schema_of(str(store_target))
    with raw(store_target) as owner:
        owner.execute(f"CREATE ROLE {role}")
        owner.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        owner.execute(f"GRANT SELECT ON usage_sessions TO {role}")
        owner.execute(f"GRANT SELECT, INSERT ON usage_snapshots TO {role}")
        try:
            store.execute_sql(f"SET ROLE {role}")
            UsageSnapshot.record("s", "1")
            assert UsageSnapshot.record_many([{"session_id": "s", "snapshot_data": "2"}]) == 1
            with store.atomic() as transaction:
                with pytest.raises(peewee.DatabaseError, match="permission denied for table usage_sessions"):
                    UsageSnapshot.record("s", "3")
                transaction.rollback()
            owner.execute(f"GRANT UPDATE (created_at) ON usage_sessions TO {role}")
            with store.atomic():
                UsageSnapshot.record("s", "4")
        finally:
            store.execute_sql("RESET ROLE")
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")
    assert stored(store_target) == ["1", "2", "4"]
