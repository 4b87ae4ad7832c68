"""Rows that arrive late or out of order."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.seeded import seeded
from usage_store.testing.seeding.arrival import arranged
from usage_store.testing.seeding.rows import Rows

if TYPE_CHECKING:
    import peewee

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("wanted", [("late",), ("out_of_order",), ("late", "out_of_order")])
def test_each_row_that_is_named_comes_once_and_after_a_newer_one(wanted: tuple[str, ...]) -> None:
    for seed in range(200):
        chance = random.Random(seed)
        times = sorted(chance.randrange(3_000) for _ in range(60))
        made = Rows([{"timestamp": seconds} for seconds in times])
        order = arranged(chance, made, wanted)
        assert sorted(order) == list(range(60))
        named = [number for word in wanted for number in made.anomalies[word]]
        assert len(set(named)) == len(named) >= len(wanted)
        place = {number: position for position, number in enumerate(order)}
        newest = [max((times[number] for number in order[:position]), default=-1) for position in range(60)]
        assert all(newest[place[number]] > times[number] for number in named)
        others = [times[number] for number in order if number not in named]
        assert all(before <= after for before, after in pairwise(others))


def test_late_rows_arrive_at_least_two_minutes_later() -> None:
    made = Rows([{"timestamp": seconds} for seconds in range(0, 6_000, 10)])
    order = arranged(random.Random(1), made, ("late",))
    late = made.anomalies["late"]
    assert len(late) == 13
    assert all(order.index(number + 11) < order.index(number) for number in late if number < 580)


def test_a_late_snapshot_arrives_minutes_after_newer_ones(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, anomalies=("late",), snapshots=400)
    times, late = written.times, written.seeded.anomalies["late"]
    assert len(late) >= 4
    assert all(max(times[:position]) > times[position] for position in late)
    assert max(max(times[:position]) - times[position] for position in late) >= 120
    others = [seconds for position, seconds in enumerate(times) if position not in late]
    assert others == sorted(others)


def test_snapshots_out_of_order_come_just_after_newer_ones(usage_database: peewee.Database) -> None:
    written = seeded(usage_database, anomalies=("out_of_order",), snapshots=400)
    pairs = list(pairwise(written.times))
    positions = tuple(position for position, (before, after) in enumerate(pairs, 1) if after < before)
    assert positions == written.seeded.anomalies["out_of_order"]
    assert len(positions) >= 4
    assert any(before == after for before, after in pairs)
