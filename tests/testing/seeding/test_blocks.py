"""The blocks of seeded data, and the moments at which their counters change."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.seeded import HOUR

if TYPE_CHECKING:
    from tests.support.seeded import Written

pytestmark = pytest.mark.quick


def test_a_block_starts_at_a_full_hour_and_lasts_five(week: Written) -> None:
    for seconds, current in zip(week.times, week.currents, strict=True):
        assert current["id"] == datetime.fromtimestamp(current["start_time"], UTC).isoformat()
        assert current["start_time"] % HOUR == 0
        assert current["end_time"] == current["start_time"] + 5 * HOUR
        assert current["start_time"] <= seconds < current["end_time"]
        assert current["is_active"]


def test_most_changes_follow_within_seconds_and_some_after_hours(week: Written) -> None:
    times = [seconds for seconds, _ in week.changes()]
    pauses = sorted(after - before for before, after in pairwise(times))
    assert pauses[len(pauses) // 2] < 60
    assert pauses[len(pauses) * 9 // 10] > 300
    assert pauses[-1] > 5 * HOUR
