"""Which kinds of `session_id` column are followed. A notice says what is not followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened, raw, rows
from usage_store import MigrationRunner, UsageSession, UsageSnapshot, init_database

if TYPE_CHECKING:
    from pathlib import Path

ODD = "events has session ids that are blobs or fractions: they register no sessions"
BY_HAND = "register sessions with register_session()"
JSON = "json_extract(payload, '$.id')"
INSERT, DELETE = "INSERT INTO events (session_id) VALUES ({0})", "DELETE FROM events WHERE session_id IS {0}"
PAYLOAD = """INSERT INTO events (payload) VALUES (json_object('id', {0}))"""

# The table, and how its host inserts an event.
TABLES = {
    "text": ("id INTEGER PRIMARY KEY, session_id TEXT)", INSERT),
    "integer": ("id INTEGER PRIMARY KEY, session_id INTEGER)", INSERT),
    "numeric": ("id INTEGER PRIMARY KEY, session_id NUMERIC)", INSERT),
    "untyped": ("id INTEGER PRIMARY KEY, session_id)", INSERT),
    "blob": ("id INTEGER PRIMARY KEY, session_id BLOB)", INSERT),
    "nocase": ("id INTEGER PRIMARY KEY, session_id TEXT COLLATE NOCASE)", INSERT),
    "rtrim": ("id INTEGER PRIMARY KEY, session_id TEXT COLLATE RTRIM)", INSERT),
    "another case": ('id INTEGER PRIMARY KEY, "Session_ID" TEXT)', INSERT),
    "virtual": (f"id INTEGER PRIMARY KEY, payload TEXT, session_id TEXT AS ({JSON}))", PAYLOAD),
    "stored": (f"id INTEGER PRIMARY KEY, payload TEXT, session_id AS ({JSON}) STORED)", PAYLOAD),
    "without rowid": (
        "session_id TEXT, n INTEGER DEFAULT (random()), PRIMARY KEY (session_id, n)) WITHOUT ROWID",
        INSERT,
    ),
    "strict": ("id INTEGER PRIMARY KEY, session_id ANY) STRICT", INSERT),
}
INTEGERS = ("integer", "numeric", "untyped", "blob", "virtual", "stored", "strict")


@pytest.fixture(params=TABLES)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def host(path: Path, kind: str, *, index: bool) -> None:
    with raw(path) as connection:
        connection.execute(f"CREATE TABLE events ({TABLES[kind][0]}")
        if index:
            connection.execute("CREATE INDEX i ON events (session_id)")
    init_database(path)


def sessions(path: Path) -> set[str]:
    return {name for (name,) in rows(path, "SELECT session_id FROM usage_sessions")}


def run(path: Path, sql: str) -> None:
    with raw(path) as connection:
        connection.execute(sql)


@pytest.mark.parametrize("index", [True, False])
def test_a_text_is_the_id_of_a_session_unchanged(tmp_path: Path, kind: str, *, index: bool) -> None:
    path = tmp_path / "host.db"
    host(path, kind, index=index)
    for name in ("'S1'", "'s1'", "'s1'", "'s1 '", "''"):
        run(path, TABLES[kind][1].format(name))
    assert sessions(path) == {"S1", "s1", "s1 "}
    for name in sorted(sessions(path)):
        UsageSnapshot.record(name, {})
    for name, left in (("S1", {"s1", "s1 "}), ("s1 ", {"s1"})):
        run(path, f"DELETE FROM events WHERE session_id COLLATE BINARY = '{name}'")
        assert sessions(path) == left
    run(path, "DELETE FROM events")
    assert sessions(path) == set()
    assert rows(path, "SELECT count(*) FROM usage_snapshots") == [(0,)]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("integers", INTEGERS)
def test_an_integer_is_the_id_of_a_session_in_digits(tmp_path: Path, integers: str, *, index: bool) -> None:
    path = tmp_path / "host.db"
    host(path, integers, index=index)
    for number in (42, 42, 7, -(2**63), 2**63 - 1):
        run(path, TABLES[integers][1].format(number))
    digits = {"42", "7", str(-(2**63)), str(2**63 - 1)}
    assert sessions(path) == digits
    assert UsageSnapshot.record("42", {}).session_id == "42"
    run(path, "DELETE FROM events WHERE id = 1")
    assert sessions(path) == digits
    run(path, "DELETE FROM events WHERE id = 2")
    assert sessions(path) == digits - {"42"}


@pytest.mark.parametrize("index", [True, False])
def test_an_integer_and_its_digits_are_one_session(tmp_path: Path, *, index: bool) -> None:
    path = tmp_path / "host.db"
    host(path, "untyped", index=index)
    for name in ("42", "'42'", "'042'", "42.0", "x'3432'"):
        run(path, INSERT.format(name))
    assert sessions(path) == {"42", "042"}
    for number, left in ((1, {"42", "042"}), (2, {"042"}), (3, set[str]())):
        run(path, f"DELETE FROM events WHERE id = {number}")
        assert sessions(path) == left


@pytest.mark.parametrize("generated", ["virtual", "stored"])
def test_a_generated_session_id_moves_when_its_source_is_updated(tmp_path: Path, generated: str) -> None:
    path = tmp_path / "host.db"
    host(path, generated, index=False)
    run(path, PAYLOAD.format("'a'"))
    UsageSnapshot.record("a", {})
    run(path, "UPDATE events SET payload = json_object('id', 'b')")
    assert rows(path, "SELECT session_id FROM usage_snapshots") == [("b",)]
    assert sessions(path) == {"b"}


@pytest.mark.parametrize("index", [True, False])
def test_changing_only_the_case_of_an_id_moves_the_session(tmp_path: Path, *, index: bool) -> None:
    path = tmp_path / "host.db"
    host(path, "nocase", index=index)
    run(path, INSERT.format("'s1'"))
    UsageSnapshot.record("s1", {})
    run(path, "UPDATE events SET session_id = 'S1'")
    assert sessions(path) == {"S1"}
    assert rows(path, "SELECT session_id FROM usage_snapshots") == [("S1",)]


@pytest.mark.parametrize("odd", ["x'6162'", "1.5", "x'ff'"])
def test_blobs_and_fractions_are_not_followed_and_a_notice_says_so(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "host.db"
    host(path, "untyped", index=False)
    for name in ("ab", "1.5"):
        UsageSession.register(name)
    run(path, INSERT.format(odd))
    with opened(path) as database:
        assert MigrationRunner(database).status().notices == (ODD,)
    run(path, f"UPDATE events SET session_id = 'ab' WHERE session_id = {odd}")
    run(path, f"UPDATE events SET session_id = {odd} WHERE session_id = 'ab'")
    run(path, "DELETE FROM events")
    assert sessions(path) == {"ab", "1.5"}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE TABLE log (session_id TEXT); CREATE VIEW events AS SELECT * FROM log", "events is a view, which can"),
        ("CREATE VIRTUAL TABLE events USING fts5(session_id)", "events is a virtual table, which can"),
        ("CREATE TABLE events (sessionId TEXT)", "no events table with a session_id column: "),
    ],
)
def test_a_notice_says_why_a_table_cannot_be_followed(tmp_path: Path, sql: str, why: str) -> None:
    path = tmp_path / "host.db"
    with raw(path) as connection:
        connection.executescript(sql)
    runner = MigrationRunner(init_database(path))
    (notice,) = runner.status().notices
    assert notice.startswith(why)
    assert notice.endswith(BY_HAND)
    assert runner.validate().ok


def test_events_of_every_kind_that_were_there_become_sessions(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "host.db"
    values: list[Any] = ["'a'", "7"]
    with raw(path) as connection:
        connection.execute(f"CREATE TABLE events ({TABLES[kind][0]}")
        for value in values:
            connection.execute(TABLES[kind][1].format(value))
    init_database(path)
    assert sessions(path) == {"a", "7"}
