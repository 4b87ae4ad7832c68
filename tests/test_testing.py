"""Creating, dumping and loading test data, without the fixtures of pytest."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.programs import run_python
from usage_store import MigrationRunner, UsageConfig, UsageSession, UsageSnapshot
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ConfigurationError
from usage_store.testing import Seeded, dump_usage, load_usage, seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.quick

NOW = 1_752_900_000
TABLES = ("usage_config", "usage_sessions", "usage_snapshots")


@pytest.fixture
def another(tmp_path: Path) -> peewee.SqliteDatabase:
    """Return a second migrated database. It is closed, and no model is bound to it."""
    database = open_database(tmp_path / "another.db")
    MigrationRunner(database).migrate()
    database.close()
    return database


def _content(database: peewee.SqliteDatabase) -> dict[str, list[tuple[Any, ...]]]:
    rows = {table: database.execute_sql(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}
    assert all(rows.values())
    return rows


def test_the_same_arguments_write_the_same_data(
    usage_database: peewee.SqliteDatabase, another: peewee.SqliteDatabase
) -> None:
    select = "SELECT * FROM usage_snapshots ORDER BY id"
    first = seed_usage(usage_database, seed=5, now=NOW)
    with another:
        assert seed_usage(another, seed=5, now=NOW) == first
        assert another.execute_sql(select).fetchall() == usage_database.execute_sql(select).fetchall()
    assert first.snapshots[0]["timestamp"] < NOW - 6 * 86_400


def test_another_seed_writes_other_data(usage_database: peewee.SqliteDatabase, another: peewee.SqliteDatabase) -> None:
    first = seed_usage(usage_database, seed=1, now=NOW)
    with another:
        second = seed_usage(another, seed=2, now=NOW)
    assert not set(first.sessions) & set(second.sessions)
    assert first.snapshots != second.snapshots


def test_what_is_returned_is_what_was_written(usage_database: peewee.SqliteDatabase) -> None:
    seeded = seed_usage(usage_database, sessions=4, snapshots=50, days=2, now=NOW)
    assert isinstance(seeded, Seeded)
    assert {session.session_id for session in UsageSession.select()} == set(seeded.sessions)
    stored = [
        {
            "session_id": s.session_id,
            "snapshot_data": s.data,
            "snapshot_type": s.snapshot_type,
            "timestamp": s.timestamp,
        }
        for s in UsageSnapshot.select().order_by(UsageSnapshot.id)
    ]
    assert stored == list(seeded.snapshots)
    config = UsageConfig.active()
    assert config is not None
    assert {field: getattr(config, field) for field in seeded.config} == seeded.config
    assert MigrationRunner(usage_database).validate().ok


def test_the_numbers_asked_for_are_kept(usage_database: peewee.SqliteDatabase) -> None:
    seeded = seed_usage(usage_database, sessions=7, snapshots=200, days=0.5, now=NOW)
    assert (len(set(seeded.sessions)), len(seeded.snapshots)) == (7, 200)
    times = [snapshot["timestamp"] for snapshot in seeded.snapshots]
    assert times == sorted(times)
    assert NOW - 43_200 <= times[0] < times[-1] < NOW
    assert {snapshot["session_id"] for snapshot in seeded.snapshots} == set(seeded.sessions)


def test_the_data_ends_now_unless_told_otherwise(usage_database: peewee.SqliteDatabase) -> None:
    before = int(time.time())
    seeded = seed_usage(usage_database, snapshots=300, days=0.01)
    times = [snapshot["timestamp"] for snapshot in seeded.snapshots]
    assert before - 864 <= times[0] < times[-1] <= time.time()
    assert len(UsageSnapshot.recent(limit=1000, hours_back=1)) == 300


def test_counters_only_grow_within_a_session(usage_database: peewee.SqliteDatabase) -> None:
    seen: dict[str, list[dict[str, int]]] = defaultdict(list)
    for snapshot in seed_usage(usage_database, snapshots=300, now=NOW).snapshots:
        current = snapshot["snapshot_data"]["current_session"]
        assert current["id"] == snapshot["session_id"]
        assert current["cost_usd"] > 0
        seen[current["id"]].append(current["token_counts"])
    for counters in seen.values():
        assert [counter["messages"] for counter in counters] == list(range(1, len(counters) + 1))
        for name in ("input_tokens", "output_tokens"):
            values = [counter[name] for counter in counters]
            assert all(earlier < later for earlier, later in pairwise(values))


@pytest.mark.parametrize("arguments", [{"sessions": 0}, {"snapshots": -1}, {"days": 0}, {"days": -1}])
def test_seeding_nonsense_is_refused_and_writes_nothing(
    usage_database: peewee.SqliteDatabase, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        seed_usage(usage_database, **arguments)
    assert UsageSession.select().count() == 0


def test_sessions_without_snapshots_can_be_seeded(usage_database: peewee.SqliteDatabase) -> None:
    assert seed_usage(usage_database, snapshots=0).snapshots == ()
    assert UsageSession.select().count() == 3


def test_a_dump_loaded_elsewhere_is_identical(
    usage_database: peewee.SqliteDatabase, another: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    seed_usage(usage_database, now=NOW)
    UsageSession.register("🦊 o'Neil")
    UsageSnapshot.record("🦊 o'Neil", '{ "kept" : "as given \\u00e9 é" }', "config", 0)
    UsageConfig.insert(is_active=False, reset_hour=None, created_at=5, updated_at=6).execute()
    usage_database.execute_sql("UPDATE usage_sessions SET created_at = 7")
    usage_database.execute_sql("DELETE FROM usage_snapshots WHERE id = 3")
    expected = _content(usage_database)
    dump_usage(usage_database, tmp_path / "first.json")
    assert _content(usage_database) == expected
    with another:
        seed_usage(another, sessions=2, seed=9)  # is replaced
        for _ in range(2):
            load_usage(another, tmp_path / "first.json")
            assert _content(another) == expected
        dump_usage(another, str(tmp_path / "second.json"))
    assert (tmp_path / "second.json").read_bytes() == (tmp_path / "first.json").read_bytes()


def test_a_fixture_is_json_that_a_person_can_read_and_edit(
    usage_database: peewee.SqliteDatabase, tmp_path: Path
) -> None:
    seed_usage(usage_database, snapshots=1, now=NOW)
    dump_usage(usage_database, tmp_path / "usage.json")
    fixture = json.loads((tmp_path / "usage.json").read_text(encoding="utf-8"))
    assert fixture.keys() == {"format", *TABLES}
    assert fixture["usage_snapshots"][0].keys() == {"id", "session_id", "snapshot_data", "snapshot_type", "timestamp"}
    assert len((tmp_path / "usage.json").read_text(encoding="utf-8").splitlines()) > 20


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text[:-20],
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"usage_sessions"', '"sessions"'),
        lambda text: json.dumps(json.loads(text) | {"usage_config": 7}),
        lambda text: json.dumps(json.loads(text) | {"usage_config": ["plan"]}),
        lambda text: text.replace('"snapshot_data"', '"data"'),
        lambda text: text.encode("utf-16"),
    ],
    ids=[
        *("empty", "cut off", "a list", "an empty object", "another format", "a table missing", "no rows", "no row"),
        *("an unknown column", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_fixture_is_refused_and_changes_nothing(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, change: Callable[[str], str | bytes]
) -> None:
    seed_usage(usage_database, snapshots=5, now=NOW)
    path = tmp_path / "usage.json"
    dump_usage(usage_database, path)
    changed = change(path.read_text(encoding="utf-8"))
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    before = _content(usage_database)
    with pytest.raises(ConfigurationError, match=r"usage\.json: "):
        load_usage(usage_database, path)
    assert _content(usage_database) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"refresh_rate": ', '"refresh_rate": 1000'),
        lambda text: text.replace('"snapshot_type": "stats"', '"snapshot_type": "other"'),
        lambda text: text.replace('"timestamp": 1', '"timestamp": 1000'),
        lambda text: json.dumps(json.loads(text) | {"usage_sessions": []}),
    ],
    ids=["out of range", "not a choice", "milliseconds", "unknown sessions"],
)
def test_a_fixture_whose_rows_break_a_rule_is_refused_and_changes_nothing(
    usage_database: peewee.SqliteDatabase, tmp_path: Path, change: Callable[[str], str]
) -> None:
    seed_usage(usage_database, snapshots=5, now=NOW)
    path = tmp_path / "usage.json"
    dump_usage(usage_database, path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    before = _content(usage_database)
    with pytest.raises((ConfigurationError, peewee.IntegrityError), match="constraint"):
        load_usage(usage_database, path)
    assert _content(usage_database) == before


def test_a_missing_fixture_is_python_s_own_error(usage_database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_usage(usage_database, tmp_path / "none.json")


def test_seeding_leaves_models_unbound_that_were_unbound_and_needs_no_pytest(tmp_path: Path) -> None:
    script = """
import sys
from usage_store import MigrationRunner, UsageConfig
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.testing import dump_usage, load_usage, seed_usage
database = open_database(sys.argv[1] + "/usage.db")
MigrationRunner(database).migrate()
seed_usage(database)
dump_usage(database, sys.argv[1] + "/usage.json")
load_usage(database, sys.argv[1] + "/usage.json")
database.close()
print(UsageConfig._meta.database, "pytest" in sys.modules)
"""
    result = run_python("-W", "error", "-c", script, tmp_path, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("None False\n", "")
