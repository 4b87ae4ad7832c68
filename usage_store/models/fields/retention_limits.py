"""The goals of maintenance, and the forecast of its effects."""

from __future__ import annotations

import time
from typing import NamedTuple

from usage_store.errors import InvalidValue
from usage_store.models.fields import allowed_values

LEAST_BYTES = 16 * 2**20  # up to half of this size is reserved for the -wal file
_DAY = 86_400


class Goals(NamedTuple):
    """The goals of maintenance. None leaves a step out. All times are in seconds, UTC.

    Snapshots older than `prune_before` are deleted. Snapshots older than `compact_before` are compacted. The oldest
    snapshots are deleted until the database has at most `max_bytes` bytes. Sessions without snapshots and events are
    deleted if they were created before `forget_before`.
    """

    prune_before: int | None
    compact_before: int | None
    max_bytes: int | None
    forget_before: int | None = None


class Forecast(NamedTuple):
    """The expected effects of maintenance.

    `pruned` snapshots are deleted by age, `compacted` are compacted, and `evicted` are deleted to reach `max_bytes`.
    `forgotten` is the number of deleted sessions. `bytes_after` is the expected size of the database.
    """

    pruned: int
    compacted: int
    evicted: int
    forgotten: int
    bytes_after: int


def checked_goals(
    retention_days: float | None,
    max_bytes: int | None,
    compact_after_days: float | None,
    forget_sessions_after_days: float | None = None,
) -> Goals:
    """Convert numbers of days to times before now, and check all values. Raises InvalidValue."""
    if max_bytes is not None and allowed_values.checked_count("max_bytes", max_bytes) < LEAST_BYTES:
        raise InvalidValue("max_bytes", max_bytes, f"an int from {LEAST_BYTES} up")
    return Goals(
        _before("retention_days", retention_days),
        _before("compact_after_days", compact_after_days),
        max_bytes,
        _before("forget_sessions_after_days", forget_sessions_after_days),
    )


def _before(field: str, days: float | None) -> int | None:
    return None if days is None else int(time.time() - allowed_values.checked_span(field, days, _DAY))
