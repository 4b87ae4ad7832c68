"""Bad input is refused with one line that names the field. It changes nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import peewee
import pytest

import usage_store as store
from tests.support.databases import dump, raw
from tests.support.programs import run_python
from usage_store import UsageConfig, UsageSession, UsageSnapshot
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import InvalidValue, RejectedInput, UnknownField, UnknownSession
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

SNAPSHOT = {"session_id": "s", "snapshot_data": {"tokens": 1}}
CONFIG_FIELDS = "plan, custom_limit_tokens, view, timezone, time_format, theme, refresh_rate"
SNAPSHOT_FIELDS = "session_id, snapshot_data, snapshot_type, timestamp"
HUGE = 10**5000  # too long for repr()
CYCLE: list[Any] = []
CYCLE.append(CYCLE)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


# Refused input: the field that the log must name, the value, and the allowed values that the log must name.
UPDATES = [
    ("updates", None, "a mapping of field to value"),
    ("updates", 5, "a mapping of field to value"),
    ("updates", ["plan"], "a mapping of field to value"),
    ("colour", {"colour": "red"}, CONFIG_FIELDS),
    ("id", {"id": 9}, CONFIG_FIELDS),
    ("is_active", {"is_active": False}, CONFIG_FIELDS),
    ("\\ud800", {"\ud800": 1}, CONFIG_FIELDS),
    ("plan", {"view": "daily", "plan": "gold"}, "pro, max5, max20, custom"),
    ("refresh_rate", {"refresh_rate": 10.5}, "an int from 1 to 60"),
    ("refresh_rate", {"refresh_rate": HUGE}, "an int from 1 to 60"),
    ("refresh_per_second", {"refresh_per_second": math.nan}, "a number from 0.1 to 20.0"),
    ("refresh_per_second", {"refresh_per_second": HUGE}, "a number from 0.1 to 20.0"),
    ("reset_hour", {"reset_hour": True}, "None, an int from 0 to 23"),
    ("custom_limit_tokens", {"custom_limit_tokens": 0}, "None, an int from 1 to"),
    ("timezone", {"timezone": "Mars/Olympus"}, "auto, UTC, or an IANA name"),
    ("timezone", {"timezone": "\ud800"}, "auto, UTC, or an IANA name"),
]
SESSION_IDS = [("session_id", value, "a text of at least one") for value in ("", None, 5, b"s", "\ud800", "\0")]
PAYLOADS: list[Any] = [
    *("{oops", "", "NaN", '{"a": [1, Infinity]}', "[1,]", "'a'", '"\ud800"', "[" * 100_000 + "]" * 100_000, "1" * 5000),
    *({"a": [{"b": math.nan}]}, [-math.inf], {math.nan: 1}, {"a": "\ud800"}, {1, 2}, {"a": {3}}, b"{}", {(1, 2): 3}),
    *(object(), UsageSnapshot, CYCLE, nested(100_000), [HUGE]),
]
SNAPSHOTS: list[tuple[str, Any, str]] = [
    *(("snapshot", value, "a mapping of field to value") for value in (None, 5, "s", ["session_id"])),
    *((name, SNAPSHOT | {name: 1}, SNAPSHOT_FIELDS) for name in ("id", "colour")),
    ("session_id", {"snapshot_data": {}}, "a value: it has no default"),
    ("snapshot_data", {"session_id": "s"}, "a value: it has no default"),
    *((name, SNAPSHOT | {name: value}, allowed) for name, value, allowed in SESSION_IDS),
    ("session 'unheard of'", SNAPSHOT | {"session_id": "unheard of"}, "register_session() makes it known"),
    *(("snapshot_type", SNAPSHOT | {"snapshot_type": kind}, "stats, config, session") for kind in ("", "Stats", None)),
    *(("timestamp", SNAPSHOT | {"timestamp": when}, "an aware datetime") for when in ("now", -1, math.nan, HUGE)),
    *(("snapshot_data", SNAPSHOT | {"snapshot_data": value}, "JSON") for value in PAYLOADS),
]
SPANS = [0, -1, math.nan, math.inf, True, "24", None, 10**9, HUGE]
LIMITS = [0, -1, True, 10.0, "10", None, HUGE]

Refuses = Callable[..., None]

# The functions that take a user's data, and their results for refused data. All other functions raise.
REFUSING: dict[Callable[..., Any], bool | None] = {
    store.update_usage_config: False,
    store.register_session: False,
    store.register_sessions: None,
    store.insert_usage_snapshot: None,
    store.insert_usage_snapshots: None,
}


def cases(rows: list[Any]) -> list[Any]:
    """Number the cases: their values can be megabytes long, or have no repr() at all."""
    return [pytest.param(*(row if isinstance(row, tuple) else (row,)), id=str(n)) for n, row in enumerate(rows)]


@pytest.fixture
def refuses(usage_database: peewee.Database, store_target: Target, caplog: pytest.LogCaptureFixture) -> Refuses:  # noqa: ARG001
    """Check that a method raises, and that its function logs the error and returns False or None, or raises it too.

    Also check that nothing changes.
    """
    store.register_session("s")
    store.insert_usage_snapshot(SNAPSHOT)

    def check(
        function: Callable[..., Any], method: Callable[..., Any], given: dict[str, Any], says: tuple[str, ...]
    ) -> None:
        before = dump(store_target)
        with pytest.raises(RejectedInput) as caught:
            method(**given)
        assert not caplog.records, "logged and raised"
        if function not in REFUSING:
            with pytest.raises(InvalidValue) as raised:
                function(**given)
            assert str(raised.value) == str(caught.value)
            assert all(part in str(raised.value) for part in says)
            assert not caplog.records, "logged and raised"
            assert dump(store_target) == before
            return
        gives = function(**given)
        assert gives is REFUSING[function]
        [record] = caplog.records
        assert (record.name, record.levelno) == ("usage_store", logging.ERROR)
        line = record.getMessage()
        assert line == f"{function.__name__} refused: {caught.value}"
        assert all(part in line for part in says)
        assert "\n" not in line
        assert len(line) < 500
        assert dump(store_target) == before

    return check


@pytest.mark.sample
@pytest.mark.parametrize(("field", "updates", "allowed"), cases(UPDATES))
def test_a_bad_update_is_refused(refuses: Refuses, field: str, updates: Any, allowed: str) -> None:
    refuses(store.update_usage_config, UsageConfig.update_active, {"updates": updates}, (field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "session_id", "allowed"), cases(SESSION_IDS))
def test_a_bad_session_id_is_refused(refuses: Refuses, field: str, session_id: Any, allowed: str) -> None:
    given = {"session_id": session_id}
    refuses(store.register_session, UsageSession.register, given, (field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "session_id", "allowed"), cases(SESSION_IDS))
def test_a_bad_session_id_has_no_snapshots(refuses: Refuses, field: str, session_id: Any, allowed: str) -> None:
    given = {"session_id": session_id}
    refuses(store.get_usage_snapshots_by_session, UsageSnapshot.of_session, given, (field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "snapshot", "allowed"), cases(SNAPSHOTS))
def test_a_bad_snapshot_is_refused(refuses: Refuses, field: str, snapshot: Any, allowed: str) -> None:
    refuses(store.insert_usage_snapshot, UsageSnapshot.record_mapping, {"snapshot": snapshot}, (field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "snapshot", "allowed"), cases(SNAPSHOTS))
def test_a_bad_snapshot_among_good_ones_refuses_all(refuses: Refuses, field: str, snapshot: Any, allowed: str) -> None:
    given = {"snapshots": [SNAPSHOT, snapshot, SNAPSHOT]}
    refuses(store.insert_usage_snapshots, UsageSnapshot.record_many, given, ("snapshot 1: ", field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize("snapshots", cases([None, 5, SNAPSHOT, "snapshots"]))
def test_an_argument_that_is_no_list_of_snapshots_is_refused(refuses: Refuses, snapshots: Any) -> None:
    given = {"snapshots": snapshots}
    refuses(store.insert_usage_snapshots, UsageSnapshot.record_many, given, ("snapshot", "mapping"))


@pytest.mark.sample
@pytest.mark.parametrize("hours", cases(SPANS))
def test_absurd_hours_are_refused(refuses: Refuses, hours: Any) -> None:
    says = ("hours_back", "a number above 0, at most 876600")
    refuses(store.get_usage_snapshots, UsageSnapshot.recent, {"hours_back": hours}, says)


@pytest.mark.sample
@pytest.mark.parametrize("days", cases([span for span in SPANS if span != 0 or isinstance(span, bool)]))
def test_absurd_days_are_refused(refuses: Refuses, days: Any) -> None:
    says = ("days_old", "a number from 0 up, at most 36525")
    refuses(store.delete_old_usage_snapshots, UsageSnapshot.prune, {"days_old": days}, says)


@pytest.mark.sample
@pytest.mark.parametrize("limit", cases(LIMITS))
def test_an_absurd_limit_is_refused(refuses: Refuses, limit: Any) -> None:
    refuses(store.get_usage_snapshots, UsageSnapshot.recent, {"limit": limit}, ("limit", "an int from 1 to"))


def test_an_empty_session_id_does_not_mean_all_sessions(refuses: Refuses) -> None:
    refuses(store.get_usage_snapshots, UsageSnapshot.recent, {"session_id": ""}, ("session_id", "at least one"))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "session_id", "allowed"), cases(SESSION_IDS))
def test_bad_session_ids_are_refused_among_many(refuses: Refuses, field: str, session_id: Any, allowed: str) -> None:
    given = {"session_ids": ["t", session_id]}
    refuses(store.remove_sessions, UsageSession.remove_many, given, (field, allowed))
    refuses(store.register_sessions, UsageSession.register_many, given, (field, allowed))


@pytest.mark.sample
@pytest.mark.parametrize(("field", "session_id", "allowed"), cases([row for row in SESSION_IDS if row[1] is not None]))
def test_a_bad_session_id_has_no_size(refuses: Refuses, field: str, session_id: Any, allowed: str) -> None:
    refuses(store.get_session_sizes, UsageSession.sizes, {"session_id": session_id}, (field, allowed))


def test_each_rejection_is_an_error_of_its_own_type(usage_database: peewee.Database) -> None:  # noqa: ARG001
    for error, refused in (
        (UnknownField, lambda: UsageConfig.update_active({"colour": "red"})),
        (InvalidValue, lambda: UsageConfig.update_active({"plan": "gold"})),
        (InvalidValue, lambda: UsageSession.register("")),
        (UnknownSession, lambda: UsageSnapshot.record("unheard of", {})),
        (InvalidValue, lambda: UsageSnapshot.prune(-1)),
    ):
        with pytest.raises(RejectedInput) as caught:
            refused()
        assert type(caught.value) is error


@pytest.mark.only_on("sqlite", "writers")
def test_a_locked_database_raises_and_does_not_count_as_bad_input(
    store_target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(store_target, timeout=0.01)
    with closing(database), database.bind_ctx(MODELS), raw(store_target) as other:
        MigrationRunner(database).migrate()
        store.register_session("s")
        for days in (31, 20, 9):  # without a step in the times
            UsageSnapshot.record("s", {}, timestamp=time.time() - days * 86_400)
        caplog.clear()
        other.execute("BEGIN IMMEDIATE")
        for write in (
            lambda: store.update_usage_config({"plan": "pro"}),
            store.reset_usage_config,
            lambda: store.register_session("t"),
            lambda: store.insert_usage_snapshot(SNAPSHOT),
            lambda: store.insert_usage_snapshots([SNAPSHOT]),
            store.delete_old_usage_snapshots,
        ):
            with pytest.raises(peewee.OperationalError, match="locked"):
                write()
    assert not caplog.records


BEFORE_INIT = """
import sys
import peewee
import usage_store as store

if sys.argv[1] == "proxy":
    store.init_database(peewee.DatabaseProxy())
snapshot = {"session_id": "s", "snapshot_data": {}}
for name, *arguments in (
    ["get_usage_config"], ["update_usage_config", {"plan": "pro"}], ["reset_usage_config"], ["register_session", "s"],
    ["insert_usage_snapshot", snapshot], ["insert_usage_snapshots", [snapshot]], ["insert_usage_snapshots", []],
    ["get_usage_snapshots"], ["get_usage_snapshots", "s"], ["get_usage_snapshots_by_session", "s"],
    ["delete_old_usage_snapshots"], ["get_migration_runner"], ["get_migration_status"], ["run_migrations"],
    ["rollback_migrations"], ["validate_database"], ["link_events"],
):
    try:
        getattr(store, name)(*arguments)
    except store.errors.ConfigurationError as error:
        assert "initiali" in str(error) or "init_database()" in str(error), error
    except Exception as error:
        print(f"{name}: {error!r}")
    else:
        print(f"{name}: no error")
"""


@pytest.mark.parametrize("bound_to", ["nothing", "proxy"])
def test_before_there_is_a_database_every_function_says_so(tmp_path: Path, bound_to: str) -> None:
    done = run_python("-c", BEFORE_INIT, bound_to, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert not list(tmp_path.iterdir())
