"""Decide whether a whole migration is repeated after an error, and after which pause."""

from __future__ import annotations

import random

from usage_store.engines.postgresql.connection.error_messages import sqlstate

_PASSING = {
    "55P03",  # lock_not_available: lock_timeout was over
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
}
_FIRST, _LONGEST = 0.05, 2.0  # seconds


def retry_after(error: BaseException, tries: int) -> float | None:
    """Return how many seconds to wait before the migration is repeated, or None if another try would not help.

    `tries` is how often it has run. The pauses grow and are random, so that two runs do not meet again and again.
    """
    if sqlstate(error) not in _PASSING and sqlstate(error.__cause__ or error) not in _PASSING:
        return None
    longest: float = min(_LONGEST, _FIRST * 2 ** min(tries, 10))
    return random.uniform(0.5, 1) * longest  # noqa: S311  no secret
