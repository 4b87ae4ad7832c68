"""Seeded data is what a monitor writes, and its true totals are known."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import statistics
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.programs import run_python
from usage_store import MigrationRunner, UsageConfig, UsageSession, UsageSnapshot, close_database, init_database
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import ConfigurationError
from usage_store.testing import Seeded, SeededBlock, seed_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

pytestmark = pytest.mark.quick

NOW = 1_752_900_000
HOUR = 3_600
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "snapshots" / "templar.snapshots.jsonl.gz"
TOKENS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")
DOLLARS = {  # for a million tokens, in the order of TOKENS
    "claude-sonnet-4-20250514": (3, 15, 3.75, 0.3),
    "claude-opus-4-20250514": (15, 75, 18.75, 1.5),
}
RATE = {"tokens_per_minute": {"float"}, "cost_per_hour": {"float"}}
COUNTED = {name: {"int"} for name in TOKENS}
BLOCK = {
    "id": {"str"},
    "start_time": {"int"},
    "end_time": {"int"},
    "is_active": {"bool"},
    "token_counts": COUNTED,
    "cost_usd": {"float"},
    "models": {"[]": {"str"}},
    "sent_messages_count": {"int"},
    "per_model_stats": {"MODEL": {**COUNTED, "cost_usd": {"float"}, "entries_count": {"int"}}},
}
SHAPE = {
    "current_session": {**BLOCK, "burn_rate": RATE},
    "recent_sessions": {"[]": {**BLOCK, "burn_rate": {"NoneType"}}},
    "predictions": {"tokens_run_out": {"NoneType"}, "limit_resets_at": {"NoneType"}},
    "burn_rate": RATE,
    "totals": {
        "cost_percentage": {"float"},
        "token_percentage": {"float"},
        "message_percentage": {"float"},
        "time_to_reset_percentage": {"float"},
    },
}


def paths(shape: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """List the paths of a shape, each with the types of the values there."""
    if isinstance(shape, set):
        yield from ((path, name) for name in shape)
        return
    yield path, "list" if shape.keys() == {"[]"} else "dict"
    for key, inner in shape.items():
        yield from paths(inner, f"{path}.{key}")


def paths_of(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """List the paths of a value, each with its type. The names of models are one path."""
    yield path, type(value).__name__
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, f"{path}.{'MODEL' if path.endswith('per_model_stats') else key}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, f"{path}.[]")


def texts(database: peewee.Database) -> list[str]:
    return [text for (text,) in database.execute_sql("SELECT snapshot_data FROM usage_snapshots ORDER BY id")]


def stored(database: peewee.Database) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts(database)]


def seeded_file(folder: Path, **arguments: Any) -> tuple[Seeded, list[dict[str, Any]]]:
    """Seed a database, and return what seed_usage says and what is stored."""
    database = init_database(folder / f"{len(list(folder.iterdir()))}.db")
    try:
        return seed_usage(database, now=NOW, **arguments), stored(database)
    finally:
        close_database()


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seeded, list[dict[str, Any]]]:
    """Give 600 snapshots of a week: what seed_usage says, and what is stored."""
    return seeded_file(tmp_path_factory.mktemp("week"), snapshots=600)


@pytest.fixture
def another(tmp_path: Path) -> peewee.SqliteDatabase:
    """Return a second migrated database. It is closed, and no model is bound to it."""
    database = open_database(tmp_path / "another.db")
    MigrationRunner(database).migrate()
    database.close()
    return database


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


SEEDED_BYTES = """
import sys
from usage_store import init_database
from usage_store.testing import dump_usage, seed_usage
database = init_database(sys.argv[1] + ".db")
seed_usage(database, snapshots=60, seed=7, now=1_752_900_000, anomalies=("cut", "late", "reset", "out_of_order"))
dump_usage(database, sys.argv[1] + ".jsonl")
"""


def test_the_same_arguments_write_the_same_bytes_in_every_process_and_version_of_python(tmp_path: Path) -> None:
    dumps = []
    for hash_seed in ("1", "2"):
        result = run_python("-c", SEEDED_BYTES, tmp_path / hash_seed, cwd=tmp_path, PYTHONHASHSEED=hash_seed)
        assert (result.stdout, result.stderr) == ("", "")
        dumps.append((tmp_path / f"{hash_seed}.jsonl").read_bytes())
    assert dumps[0] == dumps[1]
    assert hashlib.sha256(dumps[0]).hexdigest() == "75e19dca3caa6f72fe7760d96f310b241d54f79cf3a72e459688f1f993f078d3"


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


@pytest.mark.parametrize(
    ("count", "days", "sessions"), [(1, 90, 1), (2, 0.00001, 5), (3, 0.2, 5), (7, 90, 1), (40, 0.00001, 1), (40, 90, 5)]
)
def test_few_snapshots_in_any_time_are_kept_as_well(
    usage_database: peewee.SqliteDatabase, count: int, days: float, sessions: int
) -> None:
    seeded = seed_usage(usage_database, sessions=sessions, snapshots=count, days=days, now=NOW)
    times = [snapshot["timestamp"] for snapshot in seeded.snapshots]
    assert times == sorted(times)
    assert NOW - max(1, int(days * 86_400)) <= times[0] <= times[-1] < NOW
    assert len({snapshot["session_id"] for snapshot in seeded.snapshots}) == min(count, sessions)
    assert len(stored(usage_database)) == count
    assert set(paths(SHAPE)) == {path for snapshot in stored(usage_database) for path in paths_of(snapshot)}
    assert {block.id for block in seeded.blocks} == {each["current_session"]["id"] for each in stored(usage_database)}


def test_the_data_ends_now_unless_told_otherwise(usage_database: peewee.SqliteDatabase) -> None:
    before = int(time.time())
    seeded = seed_usage(usage_database, snapshots=300, days=0.01)
    times = [snapshot["timestamp"] for snapshot in seeded.snapshots]
    assert before - 864 <= times[0] < times[-1] <= time.time()
    assert len(UsageSnapshot.recent(limit=1000, hours_back=1)) == 300


def test_a_snapshot_has_the_keys_and_types_of_a_monitor_s_and_no_others(
    week: tuple[Seeded, list[dict[str, Any]]],
) -> None:
    assert {path for snapshot in week[1] for path in paths_of(snapshot)} == set(paths(SHAPE))


@pytest.mark.skipif(not REAL.is_file(), reason=f"the real snapshots are not at {REAL}")
def test_the_keys_and_types_are_those_of_real_snapshots() -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as file:
        real = {json.loads(line)["snapshot_data"] for line in file}
    assert {path for text in real for path in paths_of(json.loads(text))} == set(paths(SHAPE))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"seed": 2}, {"seed": 3}, {"days": 0.01}, {"days": 30}, {"snapshots": 40, "days": 60}, {"snapshots": 1}],
)
def test_a_snapshot_has_three_to_five_kilobytes(usage_database: peewee.Database, arguments: dict[str, Any]) -> None:
    seed_usage(usage_database, now=NOW, **arguments)
    sizes = [len(text) for text in texts(usage_database)]
    assert 3_000 < statistics.mean(sizes) < 5_000
    assert min(sizes) > 2_000
    assert max(sizes) < 6_500


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 2}, {"days": 0.01}, {"snapshots": 37, "days": 60}, {"snapshots": 5}]
)
def test_half_to_two_thirds_of_the_snapshots_repeat_the_one_before(
    usage_database: peewee.SqliteDatabase, arguments: dict[str, Any]
) -> None:
    seed_usage(usage_database, now=NOW, **arguments)
    written = texts(usage_database)
    assert 0.5 <= sum(before == after for before, after in pairwise(written)) / len(written) <= 0.7
    assert 0.5 <= 1 - len(set(written)) / len(written) <= 0.7


def test_the_text_is_what_json_writes(usage_database: peewee.SqliteDatabase) -> None:
    seeded = seed_usage(usage_database, snapshots=50, now=NOW, anomalies=("late", "cut"))
    rows = [json.dumps(row["snapshot_data"], separators=(",", ":")) for row in seeded.snapshots]
    assert rows == texts(usage_database)


def test_counters_only_grow_within_a_block(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for snapshot in week[1]:
        current = snapshot["current_session"]
        assert current["cost_usd"] > 0
        seen[current["id"]].append(current)
    assert len(seen) > 5
    for said in seen.values():
        for earlier, later in pairwise(said):
            assert earlier == later or all(
                earlier["token_counts"][name] < later["token_counts"][name] for name in TOKENS
            )
            assert earlier == later or earlier["sent_messages_count"] < later["sent_messages_count"]
            assert earlier["cost_usd"] <= later["cost_usd"]


def test_a_block_starts_at_a_full_hour_and_lasts_five(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    for row, snapshot in zip(week[0].snapshots, week[1], strict=True):
        current = snapshot["current_session"]
        assert current["id"] == datetime.fromtimestamp(current["start_time"], UTC).isoformat()
        assert current["start_time"] % HOUR == 0
        assert current["end_time"] == current["start_time"] + 5 * HOUR
        assert current["start_time"] <= row["timestamp"] < current["end_time"]
        assert current["is_active"]


def test_costs_and_sums_agree_with_the_tokens(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    models = set()
    for snapshot in week[1]:
        for block in (snapshot["current_session"], *snapshot["recent_sessions"]):
            each = block["per_model_stats"]
            assert list(each) == block["models"]
            models.update(each)
            for model, numbers in each.items():
                dollars = sum(price * numbers[name] for price, name in zip(DOLLARS[model], TOKENS, strict=True)) / 1e6
                assert numbers["cost_usd"] == pytest.approx(dollars, abs=1e-9)
            assert block["token_counts"] == {name: sum(numbers[name] for numbers in each.values()) for name in TOKENS}
            assert block["cost_usd"] == pytest.approx(sum(numbers["cost_usd"] for numbers in each.values()))
            assert block["sent_messages_count"] == sum(numbers["entries_count"] for numbers in each.values())
    assert models == set(DOLLARS)


def test_rates_and_percentages_are_those_of_the_moment_of_the_last_change(
    week: tuple[Seeded, list[dict[str, Any]]],
) -> None:
    seeded, snapshots = week
    tokens, dollars, messages = {"pro": (19e3, 18, 250), "max5": (88e3, 35, 1e3), "max20": (220e3, 140, 2e3)}[
        seeded.config["plan"]
    ]
    firsts = [
        (a, b) for a, b, before in zip(snapshots, seeded.snapshots, [None, *snapshots], strict=False) if a != before
    ]
    for snapshot, row in firsts:
        current, totals = snapshot["current_session"], snapshot["totals"]
        assert snapshot["burn_rate"] == current["burn_rate"]
        minutes = sum(current["token_counts"].values()) / current["burn_rate"]["tokens_per_minute"]
        assert 0 <= current["start_time"] + minutes * 60 - row["timestamp"] < 1.001  # in the second of the row
        assert current["burn_rate"]["cost_per_hour"] == pytest.approx(current["cost_usd"] / minutes * 60)
        used = current["token_counts"]["input_tokens"] + current["token_counts"]["output_tokens"]
        assert totals["token_percentage"] == pytest.approx(used / tokens * 100)
        assert totals["cost_percentage"] == pytest.approx(current["cost_usd"] / dollars * 100)
        assert totals["message_percentage"] == pytest.approx(current["sent_messages_count"] / messages * 100)
        assert totals["time_to_reset_percentage"] == pytest.approx(minutes / 300 * 100)


def test_what_was_said_of_an_ended_block_or_a_gap_stays(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    said: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for snapshot in week[1]:
        last[snapshot["current_session"]["id"]] = snapshot["current_session"]
        for block in snapshot["recent_sessions"]:
            assert said.setdefault(block["id"], block) == block
            assert not block["is_active"]
    both = said.keys() & last.keys()
    assert len(both) > 3
    assert all(said[key] == last[key] | {"is_active": False, "burn_rate": None} for key in both)


def test_recent_blocks_are_those_of_96_hours_at_the_last_change(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    seeded, snapshots = week
    known = sorted((*seeded.earlier_blocks, *seeded.blocks), key=lambda block: block.start)
    for snapshot in snapshots:
        current = snapshot["current_session"]
        minutes = sum(current["token_counts"].values()) / current["burn_rate"]["tokens_per_minute"]
        edge = current["start_time"] + minutes * 60 - 96 * HOUR
        expected = [block.id for block in known if edge < block.end and block.start < current["start_time"]]
        assert [block["id"] for block in snapshot["recent_sessions"] if block["models"]] == expected
    assert len({len(snapshot["recent_sessions"]) for snapshot in snapshots}) > 2


def test_gaps_are_the_five_hours_or_more_without_a_message(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    gaps = 0
    for snapshot in week[1]:
        recent = [*snapshot["recent_sessions"], snapshot["current_session"]]
        assert not recent[0]["id"].startswith("gap-")
        for before, gap, after in zip(recent, recent[1:], recent[2:], strict=False):
            if gap["id"].startswith("gap-"):
                gaps += 1
                assert gap["end_time"] - gap["start_time"] >= 5 * HOUR - 1
                assert int(datetime.fromisoformat(gap["id"].removeprefix("gap-")).timestamp()) == gap["start_time"]
                assert before["start_time"] < gap["start_time"] <= before["end_time"]
                assert after["start_time"] <= gap["end_time"] < after["end_time"]
                assert (gap["cost_usd"], gap["models"], gap["per_model_stats"]) == (0.0, [], {})
    assert gaps > 600


def test_the_true_totals_are_those_that_a_report_finds_in_the_stored_snapshots(
    usage_database: peewee.SqliteDatabase,
) -> None:
    seeded = seed_usage(usage_database, snapshots=300, days=10, seed=4, now=NOW)
    current: dict[str, dict[str, Any]] = {}
    recent: dict[str, dict[str, Any]] = {}
    sessions: dict[str, dict[str, None]] = defaultdict(dict)
    for snapshot in UsageSnapshot.select().order_by(UsageSnapshot.id):
        block = snapshot.data["current_session"]
        current[block["id"]] = block
        sessions[block["id"]][snapshot.session_id] = None
        recent |= {block["id"]: block for block in snapshot.data["recent_sessions"] if block["models"]}
    assert [totals(block) for block in seeded.blocks] == [reported(block) for block in current.values()]
    earlier = [block for key, block in recent.items() if key not in current]
    assert [totals(block) for block in seeded.earlier_blocks] == [reported(block) for block in earlier]
    assert [list(block.session_ids) for block in seeded.blocks] == [list(ids) for ids in sessions.values()]
    assert all(not block.session_ids for block in seeded.earlier_blocks)


def totals(block: SeededBlock) -> list[Any]:
    tokens = [block.input_tokens, block.output_tokens, block.cache_creation_tokens, block.cache_read_tokens]
    return [block.id, block.start, block.end, tokens, block.cost_usd, block.messages, block.per_model]


def reported(block: dict[str, Any]) -> list[Any]:
    tokens = [block["token_counts"][name] for name in TOKENS]
    times = [block["id"], block["start_time"], block["end_time"]]
    return [*times, tokens, block["cost_usd"], block["sent_messages_count"], block["per_model_stats"]]


def test_a_block_has_few_of_the_sessions(usage_database: peewee.SqliteDatabase) -> None:
    seeded = seed_usage(usage_database, sessions=12, snapshots=200, now=NOW)
    assert {len(block.session_ids) for block in seeded.blocks} <= {1, 2, 3, 4}
    assert {ids for block in seeded.blocks for ids in block.session_ids} == set(seeded.sessions)


def test_most_changes_follow_within_seconds_and_some_after_hours(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    changes = {json.dumps(row["snapshot_data"]): row["timestamp"] for row in reversed(week[0].snapshots)}
    pauses = sorted(after - before for before, after in pairwise(sorted(changes.values())))
    assert pauses[len(pauses) // 2] < 60
    assert pauses[len(pauses) * 9 // 10] > 300
    assert pauses[-1] > 5 * HOUR


def test_no_snapshot_is_repeated_very_often(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    times = Counter(json.dumps(row["snapshot_data"]) for row in week[0].snapshots)
    assert max(times.values()) <= 12
    assert len([count for count in times.values() if count == 1]) < len(times) / 2


def test_repeats_and_recent_blocks_are_in_memory_once(week: tuple[Seeded, list[dict[str, Any]]]) -> None:
    documents = {id(row["snapshot_data"]) for row in week[0].snapshots}
    assert len(documents) == 240
    assert len({id(row["snapshot_data"]["recent_sessions"]) for row in week[0].snapshots}) < 30


def test_times_of_sessions_and_of_the_configuration_are_those_of_the_data(
    usage_database: peewee.SqliteDatabase,
) -> None:
    seeded = seed_usage(usage_database, sessions=600, snapshots=10, days=2, now=NOW)
    first = seeded.snapshots[0]["timestamp"]
    assert {session.created_at for session in UsageSession.select()} == {NOW - 2 * 86_400}
    config = UsageConfig.active()
    assert config is not None
    assert config.created_at == config.updated_at == NOW - 2 * 86_400 <= first


def test_a_late_snapshot_arrives_minutes_after_newer_ones(tmp_path: Path) -> None:
    seeded, _ = seeded_file(tmp_path, anomalies=("late",), snapshots=400)
    times = [row["timestamp"] for row in seeded.snapshots]
    late = seeded.anomalies["late"]
    assert len(late) >= 4
    assert all(max(times[:position]) > times[position] for position in late)
    assert max(max(times[:position]) - times[position] for position in late) >= 120
    others = [seconds for position, seconds in enumerate(times) if position not in late]
    assert others == sorted(others)


def test_the_counters_of_a_block_fall_to_zero_and_its_true_total_has_both_parts(tmp_path: Path) -> None:
    seeded, snapshots = seeded_file(tmp_path, anomalies=["reset"], snapshots=400)
    currents = [snapshot["current_session"] for snapshot in snapshots]
    falls = [
        position
        for position, (before, after) in enumerate(pairwise(currents), 1)
        if before["id"] == after["id"] and before["sent_messages_count"] > after["sent_messages_count"]
    ]
    assert falls
    assert set(falls) <= set(seeded.anomalies["reset"])
    assert all(not any(currents[position]["token_counts"].values()) for position in seeded.anomalies["reset"])
    parts: Counter[str] = Counter({block["id"]: block["sent_messages_count"] for block in currents})  # the last of each
    parts.update({currents[position]["id"]: currents[position - 1]["sent_messages_count"] for position in falls})
    assert {block.id: block.messages for block in seeded.blocks} == parts


def test_snapshots_out_of_order_come_just_after_newer_ones(tmp_path: Path) -> None:
    seeded, _ = seeded_file(tmp_path, anomalies=("out_of_order",), snapshots=400)
    times = [row["timestamp"] for row in seeded.snapshots]
    positions = tuple(position for position, (before, after) in enumerate(pairwise(times), 1) if after < before)
    assert positions == seeded.anomalies["out_of_order"]
    assert len(positions) >= 4
    assert any(before == after for before, after in pairwise(times))


def test_the_oldest_block_is_cut_at_the_edge_of_the_window(tmp_path: Path) -> None:
    seeded, snapshots = seeded_file(tmp_path, anomalies=("cut",), snapshots=400)
    true = {block.id: block.messages for block in (*seeded.earlier_blocks, *seeded.blocks)}
    cut = set(seeded.anomalies["cut"])
    assert cut
    for position, (row, snapshot) in enumerate(zip(seeded.snapshots, snapshots, strict=True)):
        oldest, *others = (block for block in snapshot["recent_sessions"] if block["models"])
        assert all(block["sent_messages_count"] == true[block["id"]] for block in others)
        whole = true.get(oldest["id"]) == oldest["sent_messages_count"]
        assert whole != (position in cut)
        if not whole:
            edge = row["timestamp"] - 96 * HOUR
            assert oldest["start_time"] % HOUR == 0
            assert edge - HOUR - 10 < oldest["start_time"] <= edge
            owner = max(key for key in true if key <= oldest["id"])
            assert oldest["sent_messages_count"] < true[owner]


def test_all_anomalies_can_be_asked_for_at_once(usage_database: peewee.SqliteDatabase) -> None:
    asked = ("out_of_order", "late", "cut", "reset", "late")
    seeded = seed_usage(usage_database, now=NOW, anomalies=asked)
    assert set(seeded.anomalies) == set(asked)
    assert all(seeded.anomalies.values())
    assert [row["snapshot_data"] for row in seeded.snapshots] == stored(usage_database)
    times = [row["timestamp"] for row in seeded.snapshots]
    later = [position for position in range(1, 100) if max(times[:position]) > times[position]]
    assert set(later) >= set(seeded.anomalies["late"]) | set(seeded.anomalies["out_of_order"])
    assert seed_usage(usage_database, now=NOW).anomalies == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sessions": 0}, "sessions >= 1"),
        ({"snapshots": -1}, "snapshots >= 0"),
        ({"days": 0}, "days > 0"),
        ({"days": -1}, "days > 0"),
        ({"days": math.nan}, "days > 0"),
        ({"days": math.inf}, "days > 0"),
        ({"now": NOW * 1_000}, "must be in seconds"),
        ({"now": math.nan}, "must be in seconds"),
        ({"now": NOW, "days": 30_000}, "must be after 1969"),
        ({"anomalies": ("early",)}, "'early' is unknown; allowed are late, reset, out_of_order, cut"),
        ({"anomalies": "late"}, "'late' is not a list of words; allowed are late, reset, out_of_order, cut"),
        ({"anomalies": ("reset",), "snapshots": 3}, "too few snapshots for the anomaly reset: snapshots=3"),
        ({"anomalies": ("late",), "snapshots": 1}, "too few snapshots for the anomaly late"),
        ({"anomalies": ("out_of_order",), "snapshots": 0}, "too few snapshots for the anomaly out_of_order"),
        ({"anomalies": ("cut",), "snapshots": 0}, "too few snapshots for the anomaly cut"),
    ],
)
def test_seeding_nonsense_is_refused_and_writes_nothing(
    usage_database: peewee.SqliteDatabase, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        seed_usage(usage_database, **arguments)
    assert UsageSession.select().count() == 0


def test_sessions_without_snapshots_can_be_seeded(usage_database: peewee.SqliteDatabase) -> None:
    seeded = seed_usage(usage_database, snapshots=0)
    assert (seeded.snapshots, seeded.blocks, seeded.earlier_blocks) == ((), (), ())
    assert UsageSession.select().count() == 3


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
