"""The methods of UsageSnapshot that read any number of snapshots in little memory."""

from __future__ import annotations

from itertools import chain, starmap
from typing import TYPE_CHECKING, Any, ClassVar

from usage_store.models.base import UsageModel
from usage_store.models.fields.time_window import checked_window
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Self


class LongHistories(UsageModel):
    """The methods of `UsageSnapshot` for histories that are too long for a list."""

    if TYPE_CHECKING:
        _made: ClassVar[Callable[..., Any]]  # creates the model of a row

    @classmethod
    def between(
        cls,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        session_id: str | None = None,
        snapshot_type: str | None = None,
        newest_first: bool = True,  # noqa: FBT001, FBT002  a flag of the public signature
    ) -> Iterator[Self]:
        """Iterate over all snapshots with `since <= timestamp < until`, newest first. Reads only.

        Without arguments, these are all snapshots. `session_id` and `snapshot_type` select those of a session and of a
        type. With `newest_first=False`, the oldest snapshot is first. Snapshots of the same second are sorted by id.

        `since` and `until` are aware datetimes, seconds or milliseconds. Fractions of a second are cut off, as for the
        timestamps of snapshots. So if one span ends where the next begins, each snapshot is in exactly one of them.

        The iterator reads pages of about 500 snapshots or 4 MB of text, and only one page is in memory. Between two
        pages it holds no lock and no transaction, so that others can write. No snapshot is returned twice. A snapshot
        that is deleted or stored during the iteration may be returned or not.

        The call raises InvalidValue for a bad argument, also if `since` is after `until`. A session that is not
        registered has no snapshots. A damaged snapshot raises DamagedSnapshot when its `snapshot_data` or `data` is
        read.
        """
        window = checked_window(since, until, session_id, snapshot_type, newest_first)
        database = cls._db()
        pages = storage_of(database).pages(database, window)
        return starmap(cls._made, chain.from_iterable(pages))

    @classmethod
    def count_between(
        cls,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        session_id: str | None = None,
        snapshot_type: str | None = None,
        newest_first: bool = True,  # noqa: FBT001, FBT002  has no effect; the arguments are those of between()
    ) -> int:
        """Count the snapshots that `between` returns for the same arguments. Reads only. Raises InvalidValue."""
        window = checked_window(since, until, session_id, snapshot_type, newest_first)
        database = cls._db()
        return storage_of(database).count_between(database, window)
