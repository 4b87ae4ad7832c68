"""The methods of UsageSession: register sessions, delete them, and list their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.errors import InvalidValue
from usage_store.models import one_line
from usage_store.models.base import UsageModel
from usage_store.models.fields import allowed_values
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime


class SessionSize(NamedTuple):
    """The number of snapshots of a session, and the bytes that their texts take on disk."""

    session_id: str
    snapshots: int
    bytes: int


class Sessions(UsageModel):
    """The methods of `UsageSession`. Its fields are in `snapshots.py`, beside the model that refers to them."""

    def __repr__(self) -> str:
        data = self.__data__
        created = f", created {one_line.moment(data['created_at'])}" if "created_at" in data else ""
        return f"<{type(self).__name__} {one_line.key(data.get('session_id'))}{created}>"

    @property
    def created_at_utc(self) -> datetime | None:
        """`created_at` as an aware datetime in UTC, or None if it is None.

        Raises InvalidValue for a number outside the years 1 to 9999, which another program may have written.
        """
        return self._utc("created_at")

    @classmethod
    def register(cls, session_id: str) -> None:
        """Register a session. Does nothing if it is registered already. Raises InvalidValue for an empty id."""
        cls.register_many([session_id])

    @classmethod
    def register_many(cls, session_ids: Iterable[str]) -> int:
        """Register sessions, all or none, and return how many were not registered before. Raises InvalidValue."""
        checked, database = _checked(session_ids), cls._db()
        return storage_of(database).register(database, checked)

    @classmethod
    def remove_many(cls, session_ids: Iterable[str]) -> int:
        """Delete sessions and their snapshots, and return the number of deleted snapshots. The host's events stay.

        The work is done in transactions of about 10 ms, so that other connections can write between them. The snapshots
        of a session are deleted before the session. If the call is interrupted, the committed deletions stay. Inside an
        open transaction, everything is deleted in that transaction. Raises InvalidValue.
        """
        checked = _checked(session_ids, allowed_values.checked_stored_id)
        database = cls._db()
        return storage_of(database).maintenance.delete_sessions(database, checked)

    @classmethod
    def sizes(cls, session_id: str | None = None) -> list[SessionSize]:
        """List the number of snapshots of each session, or of one, and the bytes of their texts on disk.

        For a compacted snapshot, the bytes are its share of its block. Reads only, but reads all snapshots of these
        sessions. Raises InvalidValue.
        """
        checked = None if session_id is None else allowed_values.checked_session_id(session_id)
        database = cls._db()
        found = storage_of(database).session_sizes(database, checked)
        return [SessionSize(session, count, int(size)) for session, count, size in found]


def _checked(
    session_ids: Iterable[str], check: Callable[[object], str] = allowed_values.checked_session_id
) -> list[str]:
    given: Any = session_ids
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise InvalidValue("session_ids", given, "an iterable of session ids")
    return [check(session_id) for session_id in given]
