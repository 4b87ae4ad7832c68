"""The repr of a model is one short line that shows its columns. It never raises. The str of a model is its key."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import raw
from usage_store import (
    MigrationRunner,
    UsageConfig,
    UsageSession,
    UsageSnapshot,
    init_database,
    opened,
    reset_usage_config,
    update_usage_config,
)

if TYPE_CHECKING:
    import peewee

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

S: Any = UsageSnapshot
SECONDS = 1_752_856_654
MOST = 500  # characters of a line, whatever is in the columns


@pytest.fixture
def path(usage_database: peewee.Database, store_target: Target) -> Target:  # noqa: ARG001
    reset_usage_config()
    UsageSession.register("ab74d3b7")
    return store_target


def test_a_repr_shows_the_columns_of_a_snapshot(path: Target) -> None:  # noqa: ARG001
    snapshot = UsageSnapshot.record("ab74d3b7", {"tokens": 7458}, timestamp=SECONDS)
    line = "<UsageSnapshot 1 of 'ab74d3b7', stats, 2025-07-18T16:37:34Z: {\"tokens\":7458}>"
    assert repr(snapshot) == repr(S.get()) == f"{S.get()!r}" == line
    assert repr([snapshot]) == f"[{line}]"
    assert str(snapshot) == f"{snapshot}" == "1"


def test_a_repr_shows_the_columns_of_a_configuration_and_a_session(path: Target) -> None:
    update_usage_config({"plan": "max5", "reset_hour": 7})
    with raw(path) as other:
        other.execute("UPDATE usage_sessions SET created_at = ?", (SECONDS,))
    fields = (
        "plan 'max5', custom_limit_tokens None, view 'realtime', timezone 'auto', time_format 'auto', theme 'auto', "
        "refresh_rate 10, refresh_per_second 0.75, reset_hour 7"
    )
    assert repr(UsageConfig.active()) == repr(UsageConfig.get()) == f"<UsageConfig 1, active: {fields}>"
    with raw(path) as other:
        other.execute("UPDATE usage_config SET is_active = 0")
    assert repr(UsageConfig.get()) == f"<UsageConfig 1: {fields}>"
    assert repr(UsageSession.get()) == "<UsageSession 'ab74d3b7', created 2025-07-18T16:37:34Z>"
    assert str(UsageSession.get()) == "ab74d3b7"


def test_a_repr_leaves_out_columns_that_were_not_selected(path: Target) -> None:  # noqa: ARG001
    UsageSnapshot.record("ab74d3b7", {}, timestamp=SECONDS)
    assert repr(S.select(S.timestamp).get()) == "<UsageSnapshot without id, 2025-07-18T16:37:34Z>"
    assert repr(S.select(S.id).get()) == "<UsageSnapshot 1>"
    assert repr(UsageConfig.select(UsageConfig.id, UsageConfig.plan).get()) == "<UsageConfig 1: plan 'custom'>"
    assert repr(UsageSession.select(UsageSession.session_id).get()) == "<UsageSession 'ab74d3b7'>"


def test_a_repr_cuts_long_payloads_and_escapes_control_characters(path: Target) -> None:  # noqa: ARG001
    snapshot = UsageSnapshot.record("ab74d3b7", '{"a":\n"' + "é\u2028" + "x" * 5_000_000 + '"}', timestamp=SECONDS)
    begun = r'{"a":\n"é\u2028' + "x" * 51
    assert len('{"a":\n"é\u2028' + "x" * 51) == 60
    assert repr(snapshot).endswith(f": {begun}... (5,000,011 characters)>")
    tracemalloc.start()
    repr(snapshot)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**16  # no copy of the text is made


class Nasty:
    """An object whose repr raises."""

    def __repr__(self) -> str:
        raise ValueError("no")


class Text(str):
    """A text whose repr is long."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "x" * 10**6


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: list[Any] = []
for _ in range(10_000):
    DEEP = [DEEP]
VALUES: dict[str, Any] = {
    "None": None,
    "an object": {"a": [1, 2, {"b": 3}]},
    "a large object": {str(n): list(range(1000)) for n in range(1000)},
    "a cycle": CYCLE,
    "a deep list": DEEP,
    "a nasty object": Nasty(),
    "a nasty text": Text("\x1b[31m\n" * 1000),
    "a number of many digits": 10**5000,
    "bytes": b"\x00\xff" * 10**6,
    "bytes that say why": b"\0it is damaged\n",
    "a lone surrogate": "\ud800\udcff",
    "a datetime": datetime(2025, 7, 18, tzinfo=UTC),
    "an infinite number": float("inf"),
    "an expression": UsageSnapshot.timestamp + 1,
    "a field": UsageSnapshot.timestamp,
    "True": True,
    "a list": [],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("model", [UsageSnapshot, UsageConfig, UsageSession])
def test_a_repr_never_raises_whatever_was_assigned(model: type[Any], value: Any) -> None:
    for fields in ([field.name] for field in model._meta.sorted_fields):
        assigned = model(**dict.fromkeys(fields, value))
        shown = repr(assigned)
        assert shown.isprintable(), fields
        assert shown.startswith(f"<{model.__name__} ")
        assert len(shown) < MOST
    assigned = model(**{field.name: value for field in model._meta.sorted_fields})
    assert repr(assigned).isprintable()
    assert len(repr(assigned)) < len(model._meta.sorted_fields) * MOST


@pytest.mark.only_on("sqlite", "texts that are not UTF-8")
def test_a_repr_says_that_a_text_cannot_be_read(path: Target) -> None:
    with raw(path) as other:
        other.execute("DROP TRIGGER usage_snapshots_inserted")
        for text in ("CAST(x'22ff22' AS TEXT)", "CAST('99:0' AS BLOB)"):
            insert = "INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES ('ab74d3b7', {}, ?)"
            other.execute(insert.format(text), (SECONDS,))
    for listed in (list(S.select().order_by(S.id)), list(UsageSnapshot.between(newest_first=False))):
        assert [repr(snapshot) for snapshot in listed] == [
            f"<UsageSnapshot {number} of 'ab74d3b7', stats, 2025-07-18T16:37:34Z: damaged ({why})>"
            for number, why in (
                (1, "its text is not UTF-8"),
                (2, "usage_snapshot_blocks: block 99, which it needs, is gone"),
            )
        ]


@pytest.mark.only_on("sqlite", "texts that are not UTF-8")
def test_a_repr_shows_invalid_times_and_ids_that_are_not_utf8(path: Target) -> None:
    with raw(path) as other:
        other.execute("DELETE FROM usage_sessions")
        other.execute("INSERT INTO usage_sessions VALUES (CAST(x'ff0a61' AS TEXT), 1752856654907000)")
    assert repr(UsageSession.get()) == r"<UsageSession '\udcff\na', created 1752856654907000>"
    assert repr(UsageSession()) == "<UsageSession without id>"
    assert repr(UsageSnapshot(timestamp=None)) == "<UsageSnapshot without id, stats, None>"


@pytest.mark.only_on("sqlite", "files")
def test_a_repr_names_the_file_of_a_database_and_the_directory_of_a_runner(
    usage_database: peewee.SqliteDatabase,
) -> None:
    path = Path(usage_database.database)
    database = init_database(path)
    assert repr(database) == f"<SqliteFile {str(path)!r}, closed>"
    with database.connection_context():
        assert repr(database) == f"<SqliteFile {str(path)!r}, connected>"
    with opened(path, readonly=True) as reading:
        assert repr(reading) == f"<SqliteFile {str(path)!r}, connected, read-only>"
    with opened(":memory:") as in_memory:
        assert repr(in_memory) == "<SqliteFile ':memory:', connected>"
    runner = MigrationRunner(database, path.parent / "own")
    assert repr(runner) == f"<MigrationRunner of {str(path.parent / 'own')!r} on {str(path)!r}>"
