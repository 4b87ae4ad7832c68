"""Detect from the stored times that the clock of this machine may be wrong: a long gap that ended recently."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee

logger = logging.getLogger("usage_store")

_SETTLED = 3600  # seconds: after this time without a gap, the clock is assumed to be right
_FINEST = 60  # seconds: a shorter gap is never reported, even if the retention is very short
_LAST = "SELECT max(timestamp) FROM usage_snapshots WHERE timestamp <= {}"
_NEXT = "SELECT min(timestamp) FROM usage_snapshots WHERE timestamp > {}"


def step_in_times(database: peewee.Database, retention: float) -> str | None:
    """Describe a gap between stored times of more than half of `retention` (seconds) that ended within the last hour.

    Returns None if there is no such gap. A clock that jumps ahead makes such a gap, and then every snapshot looks old.
    A monitor that did not run for a long time makes such a gap too. Reads only, by the index on the times. If the
    retention is two hours or more, this takes few look-ups.
    """
    now = int(time.time())
    least = max(_FINEST, int(retention / 2))
    for moment in range(now - _SETTLED, now + 1, least):  # a gap longer than `least` contains one of these moments
        (last,), (following,) = (
            database.execute_sql(sql.format(database.param), (moment,)).fetchone() for sql in (_LAST, _NEXT)
        )
        end = now if following is None else min(following, now)
        if last is not None and end - last > least:
            gap = f"the stored times have a gap of {_span(end - last)} that ended less than an hour ago"
            return f"{gap}; check the clock of this machine"
    return None


def warn_of_step(database: peewee.Database, before: int, retention: float) -> None:
    """Log one line if there are snapshots to delete that are older than `before`, and there is such a gap.

    Reads only. `before` is in seconds, UTC.
    """
    (oldest,) = database.execute_sql("SELECT min(timestamp) FROM usage_snapshots").fetchone()
    if oldest is not None and oldest < before:
        step = step_in_times(database, retention)
        if step is not None:
            logger.warning("old snapshots are deleted, as asked, although %s", step)


def _span(seconds: int) -> str:
    days, hours = divmod(seconds // 3600, 24)
    return f"{days:,} days" if days else f"{hours} hours" if hours else f"{seconds // 60} minutes"
