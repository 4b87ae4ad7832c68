"""Check the rows of the usage tables for `validate`: what can be wrong in every database."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from usage_store.errors import NoActiveConfiguration, SchemaDrift

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.errors import UsageStoreError

_DAY = 86_400
_ACTIVE = "SELECT 1 FROM usage_config WHERE is_active = 1"
# SQLite compares a text that somebody stored as larger than every number.
_AHEAD = "SELECT count(*) FROM usage_snapshots WHERE timestamp BETWEEN {0} AND {0}"
_LAST = 10**11  # the CHECK of the column keeps greater numbers out


def without_configuration(database: peewee.Database) -> Iterator[UsageStoreError]:
    """Yield an error if no configuration is active. Reads only."""
    if database.execute_sql(_ACTIVE).fetchone() is None:
        yield SchemaDrift(f"usage_config: {NoActiveConfiguration()}")


def ahead_of_the_clock(database: peewee.Database) -> Iterator[str]:
    """Yield a line if snapshots have a timestamp more than a day ahead of this machine's clock. Reads only."""
    now = int(time.time())
    (ahead,) = database.execute_sql(_AHEAD.format(database.param), (now + _DAY + 1, _LAST)).fetchone()
    if ahead:
        clock = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
        yield f"snapshots with a timestamp more than a day ahead of this machine's clock ({clock}): {ahead}"
