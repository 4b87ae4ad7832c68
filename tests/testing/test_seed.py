"""`seed_usage` writes what it is asked for, says what it wrote, and refuses nonsense."""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened
from tests.support.programs import run_python
from tests.support.seeded import NOW, TOKENS, seeded, shown_blocks
from tests.support.snapshots import new_store
from usage_store import MigrationRunner, UsageConfig, UsageSession, UsageSnapshot
from usage_store.errors import ConfigurationError
from usage_store.testing import Seeded, SeededBlock, dump_usage, seed_usage

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.quick

ANOMALIES = ("cut", "late", "reset", "out_of_order")
# Of a dump of 60 snapshots that seed 7 makes, with all anomalies.
SHA256 = "a2c904ea9d3fda5041b20fa1765b850670a98051a93ce39e9d3ee8a8383de368"


def totals(block: SeededBlock) -> list[Any]:
    tokens = [block.input_tokens, block.output_tokens, block.cache_creation_tokens, block.cache_read_tokens]
    return [block.id, block.start, block.end, tokens, block.cost_usd, block.messages, block.per_model]


def reported(block: dict[str, Any]) -> list[Any]:
    tokens = [block["token_counts"][name] for name in TOKENS]
    times = [block["id"], block["start_time"], block["end_time"]]
    return [*times, tokens, block["cost_usd"], block["sent_messages_count"], block["per_model_stats"]]


def test_the_same_arguments_write_the_same_bytes(usage_database: peewee.Database, tmp_path: Path) -> None:
    first = seed_usage(usage_database, snapshots=60, seed=7, now=NOW, anomalies=ANOMALIES)
    dump_usage(usage_database, tmp_path / "first.jsonl")
    with opened(new_store(tmp_path / "second.db")) as database:
        assert seed_usage(database, snapshots=60, seed=7, now=NOW, anomalies=ANOMALIES) == first
        dump_usage(database, tmp_path / "second.jsonl")
    dumps = [(tmp_path / name).read_bytes() for name in ("first.jsonl", "second.jsonl")]
    assert [hashlib.sha256(dump).hexdigest() for dump in dumps] == [SHA256, SHA256]


ALONE = """
import hashlib, pathlib, sys
from usage_store import MigrationRunner, UsageConfig
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.testing import dump_usage, load_usage, seed_usage
database = open_database("usage.db")
MigrationRunner(database).migrate()
seed_usage(database, snapshots=60, seed=7, now=1_752_900_000, anomalies=("cut", "late", "reset", "out_of_order"))
dump_usage(database, "usage.jsonl")
load_usage(database, "usage.jsonl")
database.close()
dump = pathlib.Path("usage.jsonl").read_bytes()
print(UsageConfig._meta.database, "pytest" in sys.modules, hashlib.sha256(dump).hexdigest())
"""


def test_seeding_leaves_models_unbound_needs_no_pytest_and_does_not_depend_on_hashes(tmp_path: Path) -> None:
    result = run_python("-W", "error", "-c", ALONE, cwd=tmp_path, PYTHONHASHSEED="1")
    assert (result.stdout, result.stderr) == (f"None False {SHA256}\n", "")


def test_another_seed_writes_other_data(usage_database: peewee.Database) -> None:
    first, second = (seed_usage(usage_database, seed=number, now=NOW) for number in (1, 2))
    assert not set(first.sessions) & set(second.sessions)
    assert first.snapshots != second.snapshots


def test_what_is_returned_is_what_was_written(usage_database: peewee.Database) -> None:
    said = seed_usage(usage_database, sessions=4, snapshots=50, days=2, now=NOW)
    assert isinstance(said, Seeded)
    assert {session.session_id for session in UsageSession.select()} == set(said.sessions)
    stored = [
        {
            "session_id": s.session_id,
            "snapshot_data": s.data,
            "snapshot_type": s.snapshot_type,
            "timestamp": s.timestamp,
        }
        for s in UsageSnapshot.select().order_by(UsageSnapshot.id)
    ]
    assert stored == list(said.snapshots)
    config = UsageConfig.active()
    assert config is not None
    assert {field: getattr(config, field) for field in said.config} == said.config
    assert MigrationRunner(usage_database).validate().ok


def test_the_numbers_asked_for_are_kept(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, sessions=7, snapshots=200, days=0.5)
    assert (len(set(written.seeded.sessions)), len(written.texts)) == (7, 200)
    assert written.times == sorted(written.times)
    assert NOW - 43_200 <= written.times[0] < written.times[-1] < NOW
    assert {row["session_id"] for row in written.seeded.snapshots} == set(written.seeded.sessions)


@pytest.mark.parametrize(
    ("count", "days", "sessions"), [(1, 90, 1), (2, 0.00001, 5), (3, 0.2, 5), (7, 90, 1), (40, 0.00001, 1), (40, 90, 5)]
)
def test_few_snapshots_in_any_time_are_kept_as_well(
    usage_database: peewee.Database, count: int, days: float, sessions: int
) -> None:
    written = seeded(usage_database, sessions=sessions, snapshots=count, days=days)
    assert written.times == sorted(written.times)
    assert NOW - max(1, int(days * 86_400)) <= written.times[0] <= written.times[-1] < NOW
    assert len({row["session_id"] for row in written.seeded.snapshots}) == min(count, sessions)
    assert len(written.texts) == count
    assert [block.id for block in written.seeded.blocks] == list(dict.fromkeys(each["id"] for each in written.currents))


def test_the_data_ends_now_unless_told_otherwise(usage_database: peewee.Database) -> None:
    before = int(time.time())
    written = seeded(usage_database, snapshots=300, days=0.01, now=None)
    assert before - 864 <= written.times[0] < written.times[-1] <= time.time()
    assert len(UsageSnapshot.recent(limit=1000, hours_back=1)) == 300


@pytest.mark.parametrize(
    "arguments",
    [{"snapshots": 300, "days": 10, "seed": 4}, {"snapshots": 12, "days": 90}, {"snapshots": 90, "days": 90}],
)
def test_the_true_totals_are_those_that_a_report_finds_in_the_stored_snapshots(
    usage_database: peewee.Database, arguments: dict[str, Any]
) -> None:
    written = seeded(usage_database, **arguments)
    said = written.seeded
    found = {block["id"]: reported(block) for snapshot in written.snapshots for block in shown_blocks(snapshot)}
    known = sorted((*said.earlier_blocks, *said.blocks), key=lambda block: block.start)
    assert [totals(block) for block in known] == [found[key] for key in sorted(found)]
    sessions: dict[str, dict[str, None]] = defaultdict(dict)
    for row, current in zip(said.snapshots, written.currents, strict=True):
        sessions[current["id"]][row["session_id"]] = None
    assert {block.id: dict.fromkeys(block.session_ids) for block in said.blocks} == sessions
    assert not any(block.session_ids for block in said.earlier_blocks)


def test_times_of_sessions_and_of_the_configuration_are_those_of_the_data(usage_database: peewee.Database) -> None:
    first = seeded(usage_database, sessions=600, snapshots=10, days=2).times[0]
    assert {session.created_at for session in UsageSession.select()} == {NOW - 2 * 86_400}
    config = UsageConfig.active()
    assert config is not None
    assert config.created_at == config.updated_at == NOW - 2 * 86_400 <= first


def test_all_anomalies_can_be_asked_for_at_once(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, anomalies=(*ANOMALIES, "late"))
    said, times = written.seeded, written.times
    assert set(said.anomalies) == set(ANOMALIES)
    assert all(said.anomalies.values())
    assert [row["snapshot_data"] for row in said.snapshots] == written.snapshots
    later = [position for position in range(1, 100) if max(times[:position]) > times[position]]
    assert set(later) >= set(said.anomalies["late"]) | set(said.anomalies["out_of_order"])
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
    usage_database: peewee.Database, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        seed_usage(usage_database, **arguments)
    assert UsageSession.select().count() == 0


def test_sessions_without_snapshots_can_be_seeded(usage_database: peewee.Database) -> None:
    said = seed_usage(usage_database, snapshots=0)
    assert (said.snapshots, said.blocks, said.earlier_blocks) == ((), (), ())
    assert UsageSession.select().count() == 3
