"""Notice from the stored times that the clock may be wrong: a long step, and little after it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee

logger = logging.getLogger("usage_store")

_SETTLED = 3600  # seconds: a clock that has been as it is for so long is taken to be right
_FINEST = 60  # seconds: no shorter pause is a step, however short the retention
_LAST = "SELECT max(timestamp) FROM usage_snapshots WHERE timestamp <= ?"
_NEXT = "SELECT min(timestamp) FROM usage_snapshots WHERE timestamp > ?"


def step_in_times(database: peewee.SqliteDatabase, retention: float) -> str | None:
    """Describe a step of more than half the retention (seconds) that the times made within the last hour, if they did.

    A clock that jumps ahead makes one, and everything seems old. So does a monitor that was off for long. Reads only,
    by the index on times: two look-ups where the retention is two hours or more.
    """
    now = int(time.time())
    least = max(_FINEST, int(retention / 2))
    for moment in range(now - _SETTLED, now + 1, least):  # a step that is longer than `least` holds one of them
        (last,), (following,) = (database.execute_sql(sql, (moment,)).fetchone() for sql in (_LAST, _NEXT))
        end = now if following is None else min(following, now)
        if last is not None and end - last > least:
            return f"the stored times make a step of {_span(end - last)}, less than an hour ago; is the clock right?"
    return None


def warn_of_step(database: peewee.SqliteDatabase, before: int, retention: float) -> None:
    """Log one line where snapshots older than `before` are about to be deleted just after such a step. Reads only."""
    (oldest,) = database.execute_sql("SELECT min(timestamp) FROM usage_snapshots").fetchone()
    if oldest is not None and oldest < before:
        step = step_in_times(database, retention)
        if step is not None:
            logger.warning("snapshots are deleted for their age, as asked, and %s", step)


def _span(seconds: int) -> str:
    days, hours = divmod(seconds // 3600, 24)
    return f"{days:,} days" if days else f"{hours} hours" if hours else f"{seconds // 60} minutes"
