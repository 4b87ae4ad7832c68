"""The `events` tables of hosts on a PostgreSQL server: of other schemas and types, partitioned, and views."""

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import peewee
import psycopg
import pytest

from tests.support.databases import opened
from tests.support.events import apply, events_table, newest, sessions
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.migrations_folder import usage_tables
from usage_store.models.postgresql.rows import follow_events
from usage_store.run_maintenance import maintain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

BY_HAND = "register sessions with register_session()"
NO_EVENTS = f"no events table with a session_id column: {BY_HAND}"
NOT_FOLLOWED = "the events table does not register sessions: call link_events()"
PARTS = """
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (0) TO (100);
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM (100) TO (200)
"""


@contextmanager
def on_path(url: str, path: str) -> Iterator[peewee.PostgresqlDatabase]:
    """Open our database with another search path."""
    with opened(url) as database:
        assert isinstance(database, peewee.PostgresqlDatabase)
        database.execute_sql("SELECT set_config('search_path', %s, false)", (path,))
        yield database


def notices(store: peewee.PostgresqlDatabase) -> list[str]:
    return list(usage_tables().notices(store))


def schema_of(host: Any) -> str:
    (schema,) = host.execute("SELECT current_schema()").fetchone()
    return str(schema)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("uuid", "0b0e5c76-1111-4222-8333-444455556666", "0b0e5c76-1111-4222-8333-444455557777"),
        ("varchar(40)", "a", "b"),
        ("char(8)", "a", "b"),
        ("name", "a", "b"),
        ("bigint", "17", "-18"),
        ("integer", "17", "18"),
        ('text COLLATE "C"', "a", "b"),
        ("positive", "17", "18"),
        ("letter", "a", "b"),
        ("text GENERATED ALWAYS AS (payload) STORED", "a", "b"),
    ],
)
def test_session_ids_may_have_any_type_whose_text_names_a_session(
    host: Any, store: peewee.PostgresqlDatabase, kind: str, first: str, second: str
) -> None:
    host.execute("CREATE DOMAIN positive AS bigint; CREATE TYPE letter AS ENUM ('a', 'b')")
    host.execute(events_table(kind=kind))
    column = "payload" if "payload" in kind else "session_id"
    host.execute(f"INSERT INTO events ({column}) VALUES (%s)", (first,))
    apply(store, 1, 2, 3)
    host.execute(f"INSERT INTO events ({column}) VALUES (%s)", (second,))
    assert sessions(host) == {first: 0, second: 0}
    host.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (%s, '{}')", (first,))
    host.execute(f"UPDATE events SET {column} = %s WHERE id = 1", (second,))
    assert sessions(host) == {second: 1}
    host.execute("DELETE FROM events WHERE id = 1")
    assert sessions(host) == {second: 1}
    host.execute("DELETE FROM events")
    assert sessions(host) == {}
    assert notices(store) == []


def test_texts_that_are_equal_only_for_the_host_are_two_sessions(host: Any, store: peewee.PostgresqlDatabase) -> None:
    try:
        host.execute("CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:  # the server was built without ICU, and compares bytes only
        host.execute('CREATE COLLATION any_case FROM "C"')
    host.execute(events_table(kind="text COLLATE any_case"))
    apply(store, 1, 2, 3)
    host.execute("INSERT INTO events (session_id) VALUES ('a'), ('A')")
    assert sessions(host) == {"a": 0, "A": 0}
    host.execute("DELETE FROM events WHERE id = 1")
    assert sessions(host) == {"A": 0}
    host.execute("UPDATE events SET session_id = 'a'")
    assert sessions(host) == {"a": 0}


def test_odd_session_ids_never_fail_the_host_s_writes(host: Any, store: peewee.PostgresqlDatabase) -> None:
    host.execute(events_table())
    apply(store, 1, 2, 3)
    odd = [
        None,
        "",
        "x" * 1001,
        "x" * 100_000,
        "é" * 501,
        "x" * 1000,
        "' OR 1=1 --",
        "line\nbreak",
        "🦊",
        " ",
        "%s",
        "1:2",
    ]
    for one in odd:
        host.execute("INSERT INTO events (session_id) VALUES (%s)", (one,))
    valid = [one for one in odd if one and len(one.encode()) <= 1000]
    assert sessions(host) == dict.fromkeys(valid, 0)
    for one in odd:
        host.execute("UPDATE events SET session_id = %s WHERE id %% 2 = 0", (one,))
    host.execute("DELETE FROM events WHERE id % 3 = 0")
    host.execute("TRUNCATE events")
    assert host.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_events_in_another_schema_of_the_search_path_are_followed(host: Any, any_postgresql_url: str) -> None:
    schema = schema_of(host)
    other = f'{schema} "other"'
    quoted = '"' + other.replace('"', '""') + '"'
    host.execute(f"CREATE SCHEMA {quoted}")
    try:
        host.execute(events_table(f"{quoted}.events"))
        with on_path(any_postgresql_url, f"{schema}, {quoted}") as store:
            apply(store, 1, 2, 3)
            assert notices(store) == []
            host.execute(f"INSERT INTO {quoted}.events (session_id) VALUES ('a'), ('b')")
            assert sessions(host) == {"a": 0, "b": 0}
            host.execute(f"DELETE FROM {quoted}.events WHERE session_id = 'a'")
            assert sessions(host) == {"b": 0}
            follow_events.follow(store, _never, nullcontext)
            follow_events.unfollow(store, nullcontext)
            host.execute(f"DELETE FROM {quoted}.events")
            assert sessions(host) == {"b": 0}
            assert not follow_events.made(store)
    finally:
        host.execute(f"DROP SCHEMA {quoted} CASCADE")


def test_parts_of_a_partitioned_table_are_followed_too(host: Any, store: peewee.PostgresqlDatabase) -> None:
    host.execute(events_table(key="", how=" PARTITION BY RANGE (timestamp)") + ";" + PARTS)
    apply(store, 1, 2, 3)
    host.execute("CREATE TABLE events_newest PARTITION OF events FOR VALUES FROM (200) TO (300)")
    host.execute(
        "INSERT INTO events (session_id, timestamp) VALUES ('a', 1), ('b', 1), ('c', 101), ('d', 201), ('a', 201)"
    )
    host.execute("INSERT INTO events_new (id, session_id, timestamp) VALUES (9, 'e', 101)")
    assert sessions(host) == dict.fromkeys("abcde", 0)
    host.execute("DELETE FROM events WHERE timestamp = 1")
    assert sessions(host) == dict.fromkeys("acde", 0)
    host.execute("DELETE FROM events_new WHERE session_id = 'c'")
    assert sessions(host) == dict.fromkeys("ade", 0)
    host.execute("UPDATE events SET timestamp = 1 WHERE session_id = 'd'")  # to another part
    host.execute("UPDATE events_newest SET session_id = 'f' WHERE session_id = 'a'")
    assert sessions(host) == dict.fromkeys("def", 0)
    host.execute("TRUNCATE events")
    assert sessions(host) == {}
    assert notices(store) == []


@pytest.mark.parametrize(
    "leaves",
    ["ALTER TABLE events DETACH PARTITION events_old", "DROP TABLE events_old", "TRUNCATE events_old"],
)
def test_sessions_of_a_part_that_leaves_stay_until_they_are_forgotten(
    host: Any, store: peewee.PostgresqlDatabase, leaves: str
) -> None:
    host.execute(events_table(key="", how=" PARTITION BY RANGE (timestamp)") + ";" + PARTS)
    apply(store, 1, 2, 3)
    host.execute("INSERT INTO events (session_id, timestamp) VALUES ('a', 1), ('b', 1), ('b', 101)")
    host.execute("INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES ('a', '{}', 1)")
    host.execute(leaves)
    assert sessions(host) == {"a": 1, "b": 0}, "the server runs no trigger for such a statement"
    host.execute("UPDATE usage_sessions SET created_at = 1")
    host.execute("DELETE FROM events WHERE timestamp = 101")
    assert sessions(host) == {"a": 1}, "the session had no other event"
    done = maintain(store, retention_days=1, forget_sessions_after_days=2)
    assert (done.pruned, done.forgotten, sessions(host)) == (1, 1, {})


@pytest.mark.parametrize(
    ("sql", "notice"),
    [
        ("", NO_EVENTS),
        ("CREATE TABLE events (id bigint)", NO_EVENTS),
        ("CREATE TEMPORARY TABLE events (session_id text)", NO_EVENTS),
        (
            "CREATE TABLE log (session_id text); CREATE VIEW events AS SELECT * FROM log",
            "{}.events is a view, which cannot have triggers: " + BY_HAND,
        ),
        (
            "CREATE MATERIALIZED VIEW events AS SELECT 'a' AS session_id",
            "{}.events is a materialized view, which cannot have triggers: " + BY_HAND,
        ),
        (
            events_table(kind="double precision"),
            "session_id of {}.events has the type double precision, which cannot be a session id: " + BY_HAND,
        ),
    ],
)
def test_a_notice_says_that_events_cannot_be_followed(
    host: Any, store: peewee.PostgresqlDatabase, sql: str, notice: str
) -> None:
    (host if "TEMPORARY" not in sql else store_as_host(store)).execute(sql or "SELECT 1")
    module = apply(store, 1, 2, 3)[3]
    assert notices(store) == [notice.format(schema_of(host))]
    with pytest.raises(ConfigurationError, match="no events table with a session_id column to follow"):
        follow_events.link(store, lambda _: module, nullcontext)
    follow_events.follow(store, lambda _: module, nullcontext)
    assert not follow_events.made(store)


def test_events_on_which_our_role_has_no_rights_are_left_alone(host: Any, store: peewee.PostgresqlDatabase) -> None:
    schema = schema_of(host)
    role = f"owner_{schema}"
    host.execute(events_table())
    host.execute(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA {schema} TO {role}; GRANT SELECT ON events TO {role}")
    try:
        store.execute_sql(f"SET ROLE {role}")
        module = apply(store, 1, 2, 3)[3]
        with pytest.raises(ConfigurationError, match="or this role may not follow it; `usage-store migrate status`"):
            follow_events.link(store, lambda _: module, nullcontext)
        no_rights = f"role {role} has no right SELECT or TRIGGER on {schema}.events, so it does not register sessions"
        assert notices(store) == [f"{no_rights}: {BY_HAND}"]
        store.execute_sql("RESET ROLE")
        assert notices(store) == [NOT_FOLLOWED]
    finally:
        store.execute_sql("RESET ROLE")
        host.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_two_stores_do_not_take_the_events_of_one_table_from_each_other(followed: Any, any_postgresql_url: str) -> None:
    schema = schema_of(followed)
    second = f"{schema}_second"
    followed.execute(f"CREATE SCHEMA {second}")
    try:
        with on_path(any_postgresql_url, f"{second}, {schema}") as store:
            module = apply(store, 1, 2, 3)[3]
            taken = f"{schema}.events registers the sessions of the usage tables in schema {schema}: {BY_HAND}"
            assert notices(store) == [taken]
            with pytest.raises(ConfigurationError):
                follow_events.link(store, lambda _: module, nullcontext)
            module.down(None, store)
        followed.execute("INSERT INTO events (session_id) VALUES ('c')")
        assert sessions(followed) == {"a": 2, "b": 2, "c": 0}
    finally:
        followed.execute(f"DROP SCHEMA {second} CASCADE")


def test_an_events_table_created_later_is_linked_with_one_call(host: Any, store: peewee.PostgresqlDatabase) -> None:
    module = apply(store, 1, 2, 3)[3]
    host.execute("INSERT INTO usage_sessions (session_id) VALUES ('by hand')")
    host.execute(events_table())
    host.execute("INSERT INTO events (session_id) VALUES ('a')")
    assert notices(store) == [NOT_FOLLOWED]
    for _ in range(2):
        follow_events.link(store, lambda _: module, nullcontext)
    host.execute("INSERT INTO events (session_id) VALUES ('b')")
    assert sessions(host) == {"a": 0, "b": 0, "by hand": 0}
    assert notices(store) == []
    host.execute("DELETE FROM events")
    assert sessions(host) == {"by hand": 0}


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER usage_events_deleted ON events",
        "ALTER TABLE events DISABLE TRIGGER usage_events_inserted",
        "ALTER TABLE events RENAME TO archive; CREATE TABLE events (session_id text)",
        "DROP TRIGGER usage_sessions_settled ON usage_sessions_ended",
        "DROP TABLE events; CREATE TABLE events (session_id text)",
    ],
)
def test_missing_triggers_are_made_again_and_right_ones_are_only_read(
    followed: Any, store: peewee.PostgresqlDatabase, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    follow_events.follow(store, _never, nullcontext)
    followed.execute(change)
    assert notices(store) == [NOT_FOLLOWED]
    module = newest(store)
    follow_events.follow(store, lambda _: module, nullcontext)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the events table is followed from now on"
    ]
    assert notices(store) == []
    follow_events.follow(store, _never, nullcontext)
    followed.execute("INSERT INTO events (session_id) VALUES ('c')")
    assert "c" in sessions(followed)


def test_a_renamed_schema_is_followed_again(followed: Any, any_postgresql_url: str) -> None:
    schema = schema_of(followed)
    followed.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}_new; SET search_path = {schema}_new")
    try:
        with on_path(f"{any_postgresql_url}_new", f"{schema}_new") as store:
            module = newest(store)
            follow_events.follow(store, lambda _: module, nullcontext)
        followed.execute("INSERT INTO events (session_id) VALUES ('c'); DELETE FROM events WHERE session_id = 'a'")
        assert sessions(followed) == {"b": 2, "c": 0}
    finally:
        followed.execute(f"ALTER SCHEMA {schema}_new RENAME TO {schema}")


def test_who_may_not_change_the_tables_gets_one_line(
    followed: Any, store: peewee.PostgresqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    followed.execute("DROP TRIGGER usage_events_moved ON events")
    module = newest(store)
    store.execute_sql("SET default_transaction_read_only = on")
    follow_events.follow(store, lambda _: module, nullcontext)
    (record,) = caplog.records
    assert re.match("the events table is not followed, and this process cannot write the database", record.message)


def test_many_events_without_an_index_get_a_notice(host: Any, store: peewee.PostgresqlDatabase) -> None:
    host.execute("CREATE TABLE events (session_id text)")
    host.execute("INSERT INTO events SELECT 'a' FROM generate_series(1, 10001)")
    apply(store, 1, 2, 3)
    (notice,) = notices(store)
    assert notice.endswith("CREATE INDEX idx_events_session_id ON events(session_id)")
    host.execute("CREATE INDEX idx_events_session_id ON events(session_id)")
    assert notices(store) == []


def test_a_name_with_a_percent_sign_is_no_placeholder(host: Any, any_postgresql_url: str) -> None:
    schema = f"{schema_of(host)}%s"
    host.execute(f'CREATE SCHEMA "{schema}"'.replace("%", "%%"), ())
    try:
        with on_path(any_postgresql_url, f'"{schema}"') as store:
            store.execute_sql(events_table())
            module = apply(store, 1, 2, 3)[3]
            store.execute_sql("INSERT INTO events (session_id) VALUES ('a')")
            assert store.execute_sql("SELECT session_id FROM usage_sessions").fetchall() == [("a",)]
            follow_events.follow(store, _never, nullcontext)
            module.down(None, store)
    finally:
        host.execute(f'DROP SCHEMA "{schema}" CASCADE'.replace("%", "%%"), ())


def _never(_database: object) -> ModuleType:
    raise AssertionError("the triggers are right, so nothing is loaded")


def store_as_host(store: peewee.PostgresqlDatabase) -> Any:
    """Return the connection of our own database: only it sees its temporary tables."""
    return store.connection()
