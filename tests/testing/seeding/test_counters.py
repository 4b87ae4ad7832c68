"""The counters of seeded blocks grow as those of recorded ones."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.seeded import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.seeded import Written

pytestmark = pytest.mark.quick


def growth(snapshots: Iterable[Any]) -> list[tuple[int, list[int]]]:
    """List by how much each change within a block increased its messages and its tokens."""
    currents = [snapshot["current_session"] for snapshot in snapshots]
    return [
        (
            after["sent_messages_count"] - before["sent_messages_count"],
            [after["token_counts"][name] - before["token_counts"][name] for name in TOKENS],
        )
        for before, after in pairwise(currents)
        if before["id"] == after["id"]
    ]


def changes(week: Written) -> list[tuple[int, list[int]]]:
    return growth(snapshot for _, snapshot in week.changes())


def test_counters_only_grow_within_a_block(week: Written) -> None:
    assert len({current["id"] for current in week.currents}) > 5
    assert all(current["cost_usd"] > 0 for current in week.currents)
    for messages, (sent, *others) in changes(week):
        assert messages > 0
        assert sent >= 0
        assert min(others) > 0


def test_many_messages_add_no_input_tokens(week: Written) -> None:
    without = [sent == 0 for messages, (sent, *_) in changes(week) if messages == 1]
    assert 0.3 < statistics.mean(without) < 0.5


def test_a_message_adds_the_tokens_of_a_recorded_one(week: Written, real: list[Any]) -> None:
    ours, recorded = (
        [[*tokens] for messages, tokens in each if messages == 1] for each in (changes(week), growth(real))
    )
    for ours_of_kind, recorded_of_kind in zip(zip(*ours, strict=True), zip(*recorded, strict=True), strict=True):
        assert 0.4 < statistics.mean(ours_of_kind) / statistics.mean(recorded_of_kind) < 2.5
