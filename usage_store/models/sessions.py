"""UsageSession: the sessions that snapshots may belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from peewee import Check

from usage_store.errors import InvalidValue
from usage_store.models.base import UsageModel
from usage_store.models.fields import allowed_values
from usage_store.models.fields.column_types import EpochField, SessionIdField
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class SessionSize(NamedTuple):
    """How many snapshots a session holds, and how many bytes their texts take on disk."""

    session_id: str
    snapshots: int
    bytes: int


class UsageSession(UsageModel):
    """A session that snapshots may belong to. Deleting one deletes its snapshots."""

    session_id = SessionIdField(primary_key=True, constraints=[Check("session_id <> ''")])
    created_at = EpochField()

    class Meta:
        table_name = "usage_sessions"
        without_rowid = True
        strict_tables = True

    @classmethod
    def register(cls, session_id: str) -> None:
        """Make a session known; nothing happens if it is. Raises InvalidValue for an empty id."""
        cls.register_many([session_id])

    @classmethod
    def register_many(cls, session_ids: Iterable[str]) -> int:
        """Make sessions known, all or none, and give how many were not. Raises InvalidValue."""
        checked, database = _checked(session_ids), cls._db()
        return storage_of(database).register(database, checked)

    @classmethod
    def remove_many(cls, session_ids: Iterable[str]) -> int:
        """Delete sessions and their snapshots, and give how many those were; the host's events stay.

        It goes in transactions of about 10 ms, sessions after their snapshots, so that others can write meanwhile; one
        that is stopped has deleted some. Inside an open transaction it is a part of that. Raises InvalidValue.
        """
        checked = _checked(session_ids, allowed_values.checked_stored_id)
        database = cls._db()
        return storage_of(database).maintenance.delete_sessions(database, checked)

    @classmethod
    def sizes(cls, session_id: str | None = None) -> list[SessionSize]:
        """List how many snapshots each session holds, or one of them, and the bytes of their texts on disk.

        A compacted snapshot counts with its share of its block. Reads only, all snapshots concerned.
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
