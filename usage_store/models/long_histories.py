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
    """What `UsageSnapshot` has for histories that are too long for a list."""

    if TYPE_CHECKING:
        _made: ClassVar[Callable[..., Any]]  # it makes the model of a row

    @classmethod
    def between(
        cls,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        session_id: str | None = None,
        snapshot_type: str | None = None,
        newest_first: bool = True,  # noqa: FBT001, FBT002  a flag of the public signature
    ) -> Iterator[Self]:
        """Go through the snapshots with `since <= timestamp < until`, newest first, and leave none out.

        Without arguments these are all snapshots; a session and a type narrow them down. With `newest_first=False`
        the oldest come first. Snapshots of the same second come in the order of their ids.

        `since` and `until` are aware datetimes, seconds or milliseconds. Their fractions of a second are cut off, as
        those of a snapshot's timestamp are. So two spans that meet have no snapshot in common, and lose none.

        The iterator reads some 500 snapshots or 4 MB of text at a time and needs no more memory than that. Between two
        pages it holds no lock and no transaction, so that others can write. Each snapshot comes at most once. A
        snapshot that is deleted meanwhile may be missing. One that is stored meanwhile may come or not. Reads only.

        Raises InvalidValue for a bad argument at the call, also where `since` is after `until`. An unknown session has
        no snapshots. A damaged snapshot raises DamagedSnapshot where its `snapshot_data` or `data` is read.
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
        newest_first: bool = True,  # noqa: FBT001, FBT002  counted alike; it takes the arguments of between()
    ) -> int:
        """Count the snapshots that `between` gives for the same arguments. Reads only. Raises InvalidValue."""
        window = checked_window(since, until, session_id, snapshot_type, newest_first)
        database = cls._db()
        return storage_of(database).count_between(database, window)
