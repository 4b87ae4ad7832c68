"""What maintenance is to reach, and what a forecast says of it."""

from __future__ import annotations

import time
from typing import NamedTuple

from usage_store.errors import InvalidValue
from usage_store.models.fields import allowed_values

LEAST_BYTES = 16 * 2**20  # up to half of it is kept free for the -wal
_DAY = 86_400


class Goals(NamedTuple):
    """Times (seconds, UTC) before which snapshots are pruned and compacted, and a size; None leaves a step out.

    Sessions with nothing are forgotten if they were made before a time, too.
    """

    prune_before: int | None
    compact_before: int | None
    max_bytes: int | None
    forget_before: int | None = None


class Forecast(NamedTuple):
    """How many snapshots would be pruned, compacted and evicted, and sessions forgotten; the bytes after that."""

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
    """Turn spans into times. Raises InvalidValue."""
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
