"""A seeded snapshot is the document of a monitor, and its parts agree."""

from __future__ import annotations

import json
import statistics
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.seeded import HOUR, TOKENS, Written, seeded, shown_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

pytestmark = pytest.mark.quick

DOLLARS = {  # for a million tokens, in the order of TOKENS
    "claude-sonnet-4-20250514": (3, 15, 3.75, 0.3),
    "claude-opus-4-20250514": (15, 75, 18.75, 1.5),
}
LIMITS = {"pro": (19e3, 18, 250), "max5": (88e3, 35, 1e3), "max20": (220e3, 140, 2e3)}  # tokens, dollars, messages
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


def minutes_of(current: Any) -> float:
    """Compute from the rate how many minutes the block had run at its last change."""
    return float(sum(current["token_counts"].values()) / current["burn_rate"]["tokens_per_minute"])


def assert_costs_follow_from_prices(snapshots: list[Any]) -> set[str]:
    """Check the cost of each model in each block, and give the names of the models."""
    models = set()
    for numbers_of_models in (block["per_model_stats"] for each in snapshots for block in shown_blocks(each)):
        for model, numbers in numbers_of_models.items():
            models.add(model)
            dollars = sum(price * numbers[name] for price, name in zip(DOLLARS[model], TOKENS, strict=True)) / 1e6
            assert abs(numbers["cost_usd"] - dollars) < 1e-9
    return models


def test_a_snapshot_has_the_keys_and_types_of_a_monitor_s_and_no_others(week: Written) -> None:
    assert {path for snapshot in week.snapshots for path in paths_of(snapshot)} == set(paths(SHAPE))


@pytest.mark.parametrize(("count", "days"), [(1, 90), (2, 0.00001), (7, 90)])
def test_few_snapshots_have_all_keys_as_well(usage_database: peewee.Database, count: int, days: float) -> None:
    few = seeded(usage_database, snapshots=count, days=days)
    assert {path for snapshot in few.snapshots for path in paths_of(snapshot)} == set(paths(SHAPE))


def test_the_keys_and_types_are_those_of_recorded_snapshots(real: list[Any]) -> None:
    assert {path for snapshot in real for path in paths_of(snapshot)} == set(paths(SHAPE))


def test_the_prices_are_those_of_recorded_snapshots(real: list[Any]) -> None:
    assert assert_costs_follow_from_prices(real[::10]) <= set(DOLLARS)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"seed": 2}, {"seed": 3}, {"days": 0.01}, {"days": 30}, {"snapshots": 40, "days": 60}, {"snapshots": 1}],
)
def test_a_snapshot_has_three_to_five_kilobytes(usage_database: peewee.Database, arguments: dict[str, Any]) -> None:
    sizes = [len(text) for text in seeded(usage_database, **arguments).texts]
    assert 3_000 < statistics.mean(sizes) < 5_000
    assert min(sizes) > 2_000
    assert max(sizes) < 6_500


def test_the_text_is_what_json_writes(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, snapshots=50, anomalies=("late", "cut"))
    assert written.texts == [
        json.dumps(row["snapshot_data"], separators=(",", ":")) for row in written.seeded.snapshots
    ]


def test_costs_and_sums_agree_with_the_tokens(week: Written) -> None:
    assert assert_costs_follow_from_prices(week.snapshots) == set(DOLLARS)
    for block in (block for snapshot in week.snapshots for block in shown_blocks(snapshot)):
        each = block["per_model_stats"]
        assert list(each) == block["models"]
        assert block["token_counts"] == {name: sum(numbers[name] for numbers in each.values()) for name in TOKENS}
        assert abs(block["cost_usd"] - sum(numbers["cost_usd"] for numbers in each.values())) < 1e-9
        assert block["sent_messages_count"] == sum(numbers["entries_count"] for numbers in each.values())


def test_rates_and_percentages_are_those_of_the_moment_of_the_last_change(week: Written) -> None:
    tokens, dollars, messages = LIMITS[week.seeded.config["plan"]]
    for seconds, snapshot in week.changes():
        current, totals = snapshot["current_session"], snapshot["totals"]
        assert snapshot["burn_rate"] == current["burn_rate"]
        minutes = minutes_of(current)
        assert 0 <= current["start_time"] + minutes * 60 - seconds < 1.001  # in the second of the row
        assert current["burn_rate"]["cost_per_hour"] == pytest.approx(current["cost_usd"] / minutes * 60)
        used = current["token_counts"]["input_tokens"] + current["token_counts"]["output_tokens"]
        assert totals["token_percentage"] == pytest.approx(used / tokens * 100)
        assert totals["cost_percentage"] == pytest.approx(current["cost_usd"] / dollars * 100)
        assert totals["message_percentage"] == pytest.approx(current["sent_messages_count"] / messages * 100)
        assert totals["time_to_reset_percentage"] == pytest.approx(minutes / 300 * 100)


def test_what_was_said_of_an_ended_block_or_a_gap_stays(week: Written) -> None:
    said: dict[str, Any] = {}
    for block in (block for snapshot in week.snapshots for block in snapshot["recent_sessions"]):
        assert said.setdefault(block["id"], block) == block
        assert not block["is_active"]


def test_an_ended_block_has_one_more_message_than_its_last_snapshot_says(week: Written) -> None:
    ended = {block["id"]: block for snapshot in week.snapshots for block in snapshot["recent_sessions"]}
    last = {current["id"]: current for current in week.currents}
    both = [(ended[key], last[key]) for key in last.keys() & ended.keys()]
    assert len(both) == len(last) - 1 > 4
    assert all(after["sent_messages_count"] == before["sent_messages_count"] + 1 for after, before in both)
    assert all(after["cost_usd"] > before["cost_usd"] for after, before in both)


def test_recorded_blocks_have_one_more_message_than_their_last_snapshot_says(real: list[Any]) -> None:
    ended = {block["id"]: block["sent_messages_count"] for each in real for block in each["recent_sessions"]}
    last = {each["current_session"]["id"]: each["current_session"]["sent_messages_count"] for each in real}
    assert [ended[key] - last[key] for key in last if key in ended] == [1] * (len(last) - 1)


def test_recent_blocks_are_those_of_96_hours_at_the_last_change(week: Written) -> None:
    known = sorted((*week.seeded.earlier_blocks, *week.seeded.blocks), key=lambda block: block.start)
    for snapshot in week.snapshots:
        current = snapshot["current_session"]
        edge = current["start_time"] + minutes_of(current) * 60 - 96 * HOUR
        expected = [block.id for block in known if edge < block.end and block.start < current["start_time"]]
        assert [block["id"] for block in snapshot["recent_sessions"] if block["models"]] == expected
    assert len({len(snapshot["recent_sessions"]) for snapshot in week.snapshots}) > 2


def test_gaps_are_the_five_hours_or_more_without_a_message(week: Written) -> None:
    gaps = 0
    for snapshot in week.snapshots:
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
    assert gaps > len(week.snapshots)


def test_the_counters_of_a_block_fall_to_zero_and_its_true_total_has_both_parts(
    usage_database: peewee.Database,
) -> None:
    written = seeded(usage_database, anomalies=["reset"], snapshots=400)
    currents, resets = written.currents, written.seeded.anomalies["reset"]
    falls = [
        position
        for position, (before, after) in enumerate(pairwise(currents), 1)
        if before["id"] == after["id"] and before["sent_messages_count"] > after["sent_messages_count"]
    ]
    assert falls
    assert set(falls) <= set(resets)
    assert not any(number for position in resets for number in currents[position]["token_counts"].values())
    parts = {
        block["id"]: block["sent_messages_count"] for each in written.snapshots for block in shown_blocks(each)
    }  # the last of each
    for position in falls:
        parts[currents[position]["id"]] += currents[position - 1]["sent_messages_count"]
    true = {block.id: block.messages for block in (*written.seeded.earlier_blocks, *written.seeded.blocks)}
    assert parts == true


def test_the_oldest_block_is_cut_at_the_edge_of_the_window(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, anomalies=("cut",), snapshots=400)
    true = {block.id: block.messages for block in (*written.seeded.earlier_blocks, *written.seeded.blocks)}
    cut = set(written.seeded.anomalies["cut"])
    assert cut
    for position, (seconds, snapshot) in enumerate(zip(written.times, written.snapshots, strict=True)):
        oldest, *others = shown_blocks(snapshot)[:-1]
        assert all(block["sent_messages_count"] == true[block["id"]] for block in others)
        whole = true.get(oldest["id"]) == oldest["sent_messages_count"]
        assert whole != (position in cut)
        if not whole:
            edge = seconds - 96 * HOUR
            assert oldest["start_time"] % HOUR == 0
            assert edge - HOUR - 10 < oldest["start_time"] <= edge
            owner = max(key for key in true if key <= oldest["id"])
            assert oldest["sent_messages_count"] < true[owner]
