"""Seeded snapshots repeat the one before, and belong to few sessions at a time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.seeded import seeded

if TYPE_CHECKING:
    import peewee

    from tests.support.seeded import Written

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 2}, {"days": 0.01}, {"snapshots": 37, "days": 60}, {"snapshots": 5}]
)
def test_half_to_two_thirds_of_the_snapshots_repeat_the_one_before(
    usage_database: peewee.Database, arguments: dict[str, Any]
) -> None:
    texts = seeded(usage_database, **arguments).texts
    assert 0.5 <= sum(before == after for before, after in pairwise(texts)) / len(texts) <= 0.7
    assert 0.5 <= 1 - len(set(texts)) / len(texts) <= 0.7


def test_no_snapshot_is_repeated_very_often(week: Written) -> None:
    times = Counter(week.texts)
    assert max(times.values()) <= 12
    assert sum(count == 1 for count in times.values()) < len(times) / 2


def test_a_block_has_few_of_the_sessions(usage_database: peewee.Database) -> None:
    said = seeded(usage_database, sessions=12, snapshots=200).seeded
    assert {len(block.session_ids) for block in said.blocks} <= {1, 2, 3, 4}
    assert {session for block in said.blocks for session in block.session_ids} == set(said.sessions)


def test_repeats_and_what_snapshots_show_of_ended_blocks_are_in_memory_once(week: Written) -> None:
    documents = [row["snapshot_data"] for row in week.seeded.snapshots]
    assert len({id(document) for document in documents}) == len(set(week.texts)) == 240
    recent = [block for document in documents for block in document["recent_sessions"]]
    assert len({id(block) for block in recent}) == len({block["id"] for block in recent})
