"""UsageSession and UsageSnapshot: sessions, and the JSON documents about them."""

from __future__ import annotations

import functools
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, overload

from peewee import SQL, Check, CommaNodeList, IntegrityError

from usage_store.engines import engine_of
from usage_store.errors import InvalidValue, RejectedInput, UnknownSession
from usage_store.models import one_line
from usage_store.models.fields import allowed_values, snapshot_input
from usage_store.models.fields.column_types import (
    EpochField,
    RowIdField,
    SessionField,
    SessionIdField,
    SnapshotTypeField,
    TimestampField,
)
from usage_store.models.fields.differs_by_engine import ByEngine, IndexOn, UsageSchema
from usage_store.models.fields.table_rules import JSON, SECONDS, SESSION_ID
from usage_store.models.long_histories import LongHistories
from usage_store.models.plain_rows import SnapshotRow, plain_rows
from usage_store.models.sessions import Sessions
from usage_store.models.snapshot_text_column import SnapshotTextField
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import peewee

    class _Snapshots:
        """The type of `UsageSession.snapshots`, which peewee creates for the foreign key of a snapshot."""

        @overload
        def __get__(self, instance: None, owner: Any) -> peewee.BackrefAccessor: ...
        @overload
        def __get__(self, instance: UsageSession, owner: Any) -> peewee.ModelSelect[UsageSnapshot]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...


class UsageSession(Sessions):
    """A session that snapshots may belong to. If you delete it, its snapshots are deleted, too."""

    session_id = SessionIdField(primary_key=True, constraints=[SESSION_ID])
    created_at = EpochField()
    if TYPE_CHECKING:
        snapshots = _Snapshots()  # peewee creates it

    class Meta:
        table_name = "usage_sessions"
        schema_manager_class = UsageSchema
        sqlite_options = "STRICT, WITHOUT ROWID"

    __repr__ = Sessions.__repr__  # otherwise peewee would define one


class UsageSnapshot(LongHistories):
    """One JSON document about one session at one second."""

    id = RowIdField()
    session = SessionField(
        UsageSession, column_name="session_id", backref="snapshots", on_delete="CASCADE", index=False
    )
    if TYPE_CHECKING:
        session_id = SessionIdField()  # peewee creates it for `session`
    snapshot_data = SnapshotTextField(constraints=[JSON])
    snapshot_type = SnapshotTypeField(
        default="stats",
        constraints=[SQL("DEFAULT 'stats'"), Check("snapshot_type IN ('stats', 'config', 'session')")],
    )
    timestamp = TimestampField(constraints=[SECONDS])

    class Meta:
        table_name = "usage_snapshots"
        schema_manager_class = UsageSchema

    # init_database() sets this function. It is called after inserts.
    upkeep: ClassVar[Callable[[peewee.Database], None] | None] = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {one_line.snapshot(self.__data__, lambda: self.snapshot_data)}>"

    @property
    def data(self) -> Any:
        """The parsed value of `snapshot_data`. Raises DamagedSnapshot, or InvalidValue for a text that is not JSON."""
        text: Any = self.snapshot_data  # or an object that was assigned and not saved
        return snapshot_input.decode(text if isinstance(text, str) else snapshot_input.encode(text))

    @property
    def recorded_at(self) -> datetime:
        """The timestamp as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)

    def as_dict(self) -> dict[str, Any]:
        """Return `id`, `session_id`, `data` (parsed), `snapshot_type` and `timestamp`, ready for `json.dumps`.

        A column that was not selected is left out. Raises what `data` raises. Reads only.
        """
        names = {"session": "session_id", "snapshot_data": "data"}
        found = super().as_dict()
        if "snapshot_data" in found:
            found["snapshot_data"] = self.data
        return {names.get(name, name): value for name, value in found.items()}

    @classmethod
    def record(
        cls, session_id: str, snapshot_data: Any, snapshot_type: str = "stats", timestamp: Any = None
    ) -> UsageSnapshot:
        """Store one snapshot and return it.

        `snapshot_data` is JSON text, which is stored unchanged, or an object, which is stored as JSON without spaces.
        `timestamp` is an aware datetime, seconds or milliseconds, at most a day ahead of the clock. None means now.
        Raises InvalidValue or UnknownSession. Then nothing is stored.
        """
        return cls._record(snapshot_input.row(session_id, snapshot_data, snapshot_type, timestamp))

    @classmethod
    def record_mapping(cls, snapshot: Mapping[str, Any]) -> UsageSnapshot:
        """Store one snapshot, a mapping of `record`'s arguments, and return it. Raises UnknownField, too."""
        return cls._record(snapshot_input.mapped_row(snapshot))

    @classmethod
    def _record(cls, row: snapshot_input.Row) -> UsageSnapshot:
        database = cls._db()
        session, data, _, kind, seconds = row
        row_id = storage_of(database).insert(database, row)
        if not row_id:
            cls._refuse(row, left_out=row_id == 0)
        snapshot = cls._made(row_id, session, data, kind, seconds)
        if cls.upkeep is not None:
            cls.upkeep(database)
        return snapshot

    @classmethod
    def record_many(cls, snapshots: Iterable[Mapping[str, Any]], *, ahead: bool = False) -> int:
        """Store many snapshots, all or none, and return their number.

        Each snapshot is a mapping of `record`'s arguments. `snapshots` can be any iterable, which is read in batches.
        With `ahead`, timestamps may be any time ahead of the clock. Raises the errors of `record_mapping`. The message
        begins with the position of the refused snapshot; the first position is 0.
        """
        database = cls._db()
        total = 0
        try:
            numbered = enumerate(snapshots)
        except TypeError:
            raise InvalidValue("snapshots", snapshots, "an iterable of mappings of field to value") from None
        mapped = functools.partial(snapshot_input.mapped_row, ahead=ahead)
        rows = (snapshot_input.numbered(number, mapped, snapshot) for number, snapshot in numbered)
        batches = snapshot_input.batches(rows)
        first = next(batches, [])  # before BEGIN, so that refused input takes no lock
        storage = storage_of(database)
        with engine_of(database).write_transaction(database):
            for batch in itertools.chain([first], batches):
                try:
                    total += storage.insert_many(database, batch)
                except IntegrityError:
                    for number, row in enumerate(batch, total):
                        snapshot_input.numbered(number, cls._check, row)
                    raise
        if cls.upkeep is not None:
            cls.upkeep(database)
        return total

    @classmethod
    def recent(cls, session_id: str | None = None, *, limit: int = 100, hours_back: float = 24) -> list[UsageSnapshot]:
        """List at most `limit` snapshots of the last hours, newest first, of one session or of all. Reads only.

        If there are more than `limit`, the oldest are left out, and nothing says so. `between` returns all of them.
        Raises InvalidValue for a limit below 1 or hours that are not above 0.
        """
        made = cls._made
        return [made(*row) for row in cls._recent(session_id, limit, hours_back)]

    @classmethod
    def recent_rows(
        cls, session_id: str | None = None, *, limit: int = 100, hours_back: float = 24
    ) -> list[SnapshotRow]:
        """List at most `limit` snapshots as `recent` does, but as plain rows. Reads only.

        If there are more than `limit`, the oldest are left out, and nothing says so. Raises InvalidValue, and
        DamagedSnapshot for a row whose text cannot be read.
        """
        return plain_rows(cls._recent(session_id, limit, hours_back))

    @classmethod
    def of_session(cls, session_id: str) -> list[UsageSnapshot]:
        """List all snapshots of a session, newest first. A session that is not registered has none. Reads only.

        All of them are in memory at once. For long sessions, `between` needs less memory. Raises InvalidValue.
        """
        made = cls._made
        return [made(*row) for row in cls._of_session(session_id)]

    @classmethod
    def rows_of_session(cls, session_id: str) -> list[SnapshotRow]:
        """List the same snapshots as `of_session`, as plain rows. Reads only.

        Raises InvalidValue, and DamagedSnapshot for a row whose text cannot be read.
        """
        return plain_rows(cls._of_session(session_id))

    @classmethod
    def prune(cls, days_old: float = 30) -> int:
        """Delete the snapshots that are older than `days_old` days, and return their number. 0 deletes all.

        The work is done in transactions of about 10 ms, so that other connections can write between them. The oldest
        snapshots are deleted first. If the call is interrupted, the committed deletions stay. Inside an open
        transaction, everything is deleted in that transaction. Raises InvalidValue.
        """
        span = allowed_values.checked_span("days_old", days_old, 86_400, zero=True)
        before = int(time.time() - span) if span else allowed_values.MAX_INTEGER
        database = cls._db()
        maintenance = storage_of(database).maintenance
        if span:
            maintenance.warn_of_step(database, before, span)
        return maintenance.delete_older(database, before)

    @classmethod
    def _recent(cls, session_id: str | None, limit: int, hours_back: float) -> list[tuple[Any, ...]]:
        most = allowed_values.checked_count("limit", limit)
        since = int(time.time() - allowed_values.checked_span("hours_back", hours_back, 3600))
        session = None if session_id is None else allowed_values.checked_session_id(session_id)
        database = cls._db()
        return storage_of(database).recent(database, since, most, session)

    @classmethod
    def _of_session(cls, session_id: str) -> list[tuple[Any, ...]]:
        checked, database = allowed_values.checked_session_id(session_id), cls._db()
        return storage_of(database).of_session(database, checked)

    @classmethod
    def _made(cls, row_id: int, session_id: str, data: str, kind: str, seconds: int, _: Any = None) -> UsageSnapshot:
        model: Any = cls.__new__(cls)  # as in `_stored`: a call of it for each row of a list would be slower
        model.__data__ = {
            "id": row_id,
            "session": session_id,
            "snapshot_data": data,
            "snapshot_type": kind,
            "timestamp": seconds,
        }
        model._dirty, model.__rel__ = set(), {}
        return model  # type: ignore[no-any-return]

    @classmethod
    def _refuse(cls, row: snapshot_input.Row, *, left_out: bool) -> NoReturn:
        """Raise why one row was not inserted."""
        if left_out:
            raise RejectedInput("a trigger on usage_snapshots left the snapshot out, so it was not stored")
        cls._check(row)
        raise UnknownSession(row[0])  # registered only after the insert

    @classmethod
    def _check(cls, row: snapshot_input.Row) -> None:
        """Raise the reason why the database did not insert a row; return if the row is valid by now."""
        session, text, *_ = row
        database = cls._db()
        valid, known = storage_of(database).refused_because(database, text, session)
        if not valid:
            snapshot_input.prove(text)
            raise InvalidValue("snapshot_data", text, "JSON that is not nested this deeply")
        if not known:
            raise UnknownSession(session)


# SQLite's indexes have the id of the row at their end by themselves.
_IN_ORDER = ByEngine(
    sqlite=UsageSnapshot.timestamp,
    postgresql=CommaNodeList((UsageSnapshot.timestamp, UsageSnapshot.id)),
)
UsageSnapshot.add_index(UsageSnapshot.index(UsageSnapshot.session, _IN_ORDER, name="idx_usage_snapshots_session_id"))
UsageSnapshot.add_index(UsageSnapshot.index(_IN_ORDER, name="idx_usage_snapshots_timestamp"))
UsageSnapshot.add_index(UsageSnapshot.index(UsageSnapshot.snapshot_type, name="idx_usage_snapshots_type"))
UsageSnapshot.add_index(  # of the texts that are still to be compacted
    IndexOn(
        "sqlite",
        UsageSnapshot,
        (UsageSnapshot.timestamp,),
        where=SQL("typeof(snapshot_data) = 'text'"),
        name="idx_usage_snapshots_plain",
    )
)
