"""UsageSession, UsageConfig and UsageSnapshot: columns, constraints, indexes, and the methods that do the work.

The methods raise typed errors: a RejectedInput that names the field, the value and what is allowed, or peewee's own
for a database that is locked, full or broken.
"""

from __future__ import annotations

import itertools
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import peewee
from peewee import SQL, BooleanField, Check, FloatField, ForeignKeyField, IntegerField, Model, TextField

from usage_store import payloads, rules
from usage_store.errors import (
    ConfigurationError,
    InvalidValue,
    NoActiveConfiguration,
    RejectedInput,
    UnknownField,
    UnknownSession,
)
from usage_store.fields import EpochField, RowIdField

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MODELS", "UsageConfig", "UsageSession", "UsageSnapshot"]

logger = logging.getLogger("usage_store")

_BATCH = 500  # rows sent at once: memory stays flat, the transaction still covers all


class _UsageModel(Model):
    class Meta:
        only_save_dirty = True  # save() would write every column back over what others changed
        legacy_table_names = False

    @classmethod
    def _db(cls) -> peewee.Database:
        database: peewee.Database | peewee.DatabaseProxy | None = cls._meta.database
        if database is None:
            raise ConfigurationError("the usage models have no database yet; call init_database() first")
        if isinstance(database, peewee.DatabaseProxy):
            if database.obj is None:
                raise ConfigurationError("the DatabaseProxy is not initialised; call its initialize(database) first")
            inner: peewee.Database = database.obj
            return inner
        return database


class UsageSession(_UsageModel):
    """A session that snapshots may belong to. Deleting one deletes its snapshots."""

    session_id = TextField(primary_key=True, constraints=[Check("session_id <> ''")])
    created_at = EpochField()

    class Meta:
        table_name = "usage_sessions"
        without_rowid = True
        strict_tables = True

    @classmethod
    def register(cls, session_id: str) -> None:
        """Make a session known; nothing happens if it is. Raises InvalidValue for an empty id."""
        sql = "INSERT INTO usage_sessions (session_id) VALUES (?) ON CONFLICT DO NOTHING"
        cls._db().execute_sql(sql, (rules.checked_session_id(session_id),))


def _choice(name: str, choices: tuple[str, ...]) -> TextField[str]:
    default = rules.CONFIG_RULES[name].default
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return TextField(default=default, constraints=[SQL(f"DEFAULT '{default}'"), Check(f"{name} IN ({listed})")])


class UsageConfig(_UsageModel):
    """The configuration of the monitor; at most one row is active."""

    id = RowIdField()
    plan = _choice("plan", rules.PLANS)
    custom_limit_tokens = IntegerField(
        null=True, constraints=[Check("custom_limit_tokens IS NULL OR custom_limit_tokens > 0")]
    )
    view = _choice("view", rules.VIEWS)
    timezone = TextField(default="auto", constraints=[SQL("DEFAULT 'auto'")])
    time_format = _choice("time_format", rules.TIME_FORMATS)
    theme = _choice("theme", rules.THEMES)
    refresh_rate = IntegerField(
        default=10, constraints=[SQL("DEFAULT 10"), Check("refresh_rate >= 1 AND refresh_rate <= 60")]
    )
    refresh_per_second = FloatField(
        default=0.75,
        constraints=[SQL("DEFAULT 0.75"), Check("refresh_per_second >= 0.1 AND refresh_per_second <= 20.0")],
    )
    reset_hour = IntegerField(
        null=True, constraints=[Check("reset_hour IS NULL OR (reset_hour >= 0 AND reset_hour <= 23)")]
    )
    created_at = EpochField()
    updated_at = EpochField()
    is_active = BooleanField(default=True, constraints=[SQL("DEFAULT 1"), Check("is_active IN (0, 1)")])

    class Meta:
        table_name = "usage_config"
        strict_tables = True

    _COLUMNS: ClassVar = ("id", *rules.CONFIG_RULES, "created_at", "updated_at")
    # Texts as blobs: sqlite3 raises, and gives no row at all, for text that is not UTF-8.
    _TEXTS: ClassVar = ("plan", "view", "timezone", "time_format", "theme")
    _SELECT: ClassVar = (
        "SELECT id, CAST(plan AS BLOB), custom_limit_tokens, CAST(view AS BLOB), CAST(timezone AS BLOB), "
        "CAST(time_format AS BLOB), CAST(theme AS BLOB), refresh_rate, refresh_per_second, reset_hour, created_at, "
        "updated_at FROM usage_config WHERE is_active = 1"
    )

    @classmethod
    def active(cls) -> UsageConfig | None:
        """Give the active configuration, or None. Reads only.

        A field that a foreign writer broke has its default instead, and one warning names all of them.
        """
        row = cls._db().execute_sql(cls._SELECT).fetchone()
        if row is None:
            return None
        values = dict(zip(cls._COLUMNS, row, strict=True))
        values |= {name: bytes(values[name]).decode(errors="surrogateescape") for name in cls._TEXTS}
        broken = [name for name, rule in rules.CONFIG_RULES.items() if not rule.accepts(values[name])]
        if broken:
            shown = ", ".join(f"{name} {values[name]!r}" for name in broken)
            logger.warning("usage_config %s: %s is not allowed; the default is used", values["id"], shown)
            values |= {name: rules.CONFIG_RULES[name].default for name in broken}
        config = cls(**values)
        config._dirty.clear()  # type: ignore[attr-defined]  # as peewee marks the rows that it reads
        return config

    @classmethod
    def update_active(cls, updates: Mapping[str, Any]) -> bool:
        """Change fields of the active configuration, those named and no others; True if there were any.

        Raises UnknownField, InvalidValue or NoActiveConfiguration, and then changes nothing.
        """
        changes = rules.checked_changes(updates)
        if changes:
            cls._write(changes)
        return bool(changes)

    @classmethod
    def reset_active(cls) -> None:
        """Give every field of the active configuration its default; `id` and `created_at` stay.

        Raises NoActiveConfiguration.
        """
        cls._write({name: rule.default for name, rule in rules.CONFIG_RULES.items()})

    @classmethod
    def _write(cls, changes: Mapping[str, Any]) -> None:
        cls._db()
        if not cls.update(changes).where(SQL("is_active = 1")).execute():
            raise NoActiveConfiguration


UsageConfig.add_index(
    UsageConfig.index(UsageConfig.is_active, unique=True, where=SQL("is_active = 1"), name="idx_usage_config_active")
)


class UsageSnapshot(_UsageModel):
    """One JSON document about one session at one second."""

    id = RowIdField()
    session = ForeignKeyField(
        UsageSession, column_name="session_id", backref="snapshots", on_delete="CASCADE", index=False
    )
    session_id: str  # made by peewee beside `session`
    snapshot_data = TextField()
    snapshot_type = TextField(
        default="stats",
        constraints=[SQL("DEFAULT 'stats'"), Check("snapshot_type IN ('stats', 'config', 'session')")],
    )
    timestamp = EpochField(
        constraints=[Check("typeof(timestamp) = 'integer' AND timestamp >= 0 AND timestamp < 100000000000")]
    )

    class Meta:
        table_name = "usage_snapshots"

    # Fixed SQL, since building a query costs more than running it. Selecting the session makes an unknown one
    # insert nothing, on connections that do not check foreign keys too.
    _INSERT: ClassVar = (
        "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) "
        "SELECT session_id, ?, ?, ? FROM usage_sessions WHERE session_id = ?"
    )
    _SELECT: ClassVar = "SELECT id, session_id, snapshot_data, snapshot_type, timestamp FROM usage_snapshots"
    _NEWEST: ClassVar = "ORDER BY timestamp DESC, id DESC"
    FIELDS: ClassVar = ("session_id", "snapshot_data", "snapshot_type", "timestamp")

    @property
    def data(self) -> Any:
        """The parsed value of `snapshot_data`."""
        return payloads.decode(self.snapshot_data)

    @property
    def recorded_at(self) -> datetime:
        """The timestamp as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)

    @classmethod
    def record(
        cls, session_id: str, snapshot_data: Any, snapshot_type: str = "stats", timestamp: Any = None
    ) -> UsageSnapshot:
        """Store one snapshot and give it back.

        `snapshot_data` is JSON text, kept as given, or an object, stored compact. `timestamp` is an aware datetime,
        seconds or milliseconds; None is now. Raises InvalidValue or UnknownSession, and then stores nothing.
        """
        return cls._record(cls._row(session_id, snapshot_data, snapshot_type, timestamp))

    @classmethod
    def record_mapping(cls, snapshot: Mapping[str, Any]) -> UsageSnapshot:
        """Store one snapshot given as a mapping of `record`'s arguments. Raises UnknownField besides."""
        return cls._record(cls._mapped_row(snapshot))

    @classmethod
    def _record(cls, row: tuple[str, str, int, str]) -> UsageSnapshot:
        cursor = cls._db().execute_sql(cls._INSERT, row)
        data, kind, seconds, session = row
        if cursor.rowcount != 1:
            raise UnknownSession(session)
        snapshot = cls(
            id=cursor.lastrowid, session_id=session, snapshot_data=data, snapshot_type=kind, timestamp=seconds
        )
        snapshot._dirty.clear()  # type: ignore[attr-defined]  # as peewee marks the rows that it saves
        return snapshot

    @classmethod
    def record_many(cls, snapshots: Iterable[Mapping[str, Any]]) -> int:
        """Store many snapshots, all or none, and give their number.

        Each is a mapping of `record`'s arguments. Any iterable will do: it is read in batches. Raises as `record`,
        with the position of the snapshot that was refused.
        """
        database = cls._db()
        total = 0
        try:
            numbered = enumerate(snapshots)
        except TypeError:
            raise InvalidValue("snapshots", snapshots, "an iterable of mappings of field to value") from None
        rows = (cls._numbered_row(number, snapshot) for number, snapshot in numbered)
        first = list(itertools.islice(rows, _BATCH))  # before BEGIN: no lock is held for input that is refused
        with database.atomic():
            batch = first
            while batch:
                cursor = database.cursor()
                with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in peewee's stubs
                    cursor.executemany(cls._INSERT, batch)
                if cursor.rowcount != len(batch):
                    raise cls._unknown_in(batch, total)
                total += len(batch)
                batch = list(itertools.islice(rows, _BATCH))
        return total

    @classmethod
    def recent(cls, session_id: str | None = None, *, limit: int = 100, hours_back: float = 24) -> list[UsageSnapshot]:
        """List at most `limit` snapshots of the last hours, newest first, of one session or of all.

        Raises InvalidValue for a limit below 1 or hours that are not above 0.
        """
        most = rules.checked_count("limit", limit)
        since = int(time.time() - rules.checked_span("hours_back", hours_back, 3600))
        cls._db()
        if session_id is None:
            return list(cls.raw(f"{cls._SELECT} WHERE timestamp >= ? {cls._NEWEST} LIMIT ?", since, most))
        session = rules.checked_session_id(session_id)
        sql = f"{cls._SELECT} WHERE session_id = ? AND timestamp >= ? {cls._NEWEST} LIMIT ?"
        return list(cls.raw(sql, session, since, most))

    @classmethod
    def of_session(cls, session_id: str) -> list[UsageSnapshot]:
        """List all snapshots of a session, newest first; none for a session that is not known."""
        session = rules.checked_session_id(session_id)
        cls._db()
        return list(cls.raw(f"{cls._SELECT} WHERE session_id = ? {cls._NEWEST}", session))

    @classmethod
    def prune(cls, days_old: float = 30) -> int:
        """Delete the snapshots older than so many days and give their number. Raises InvalidValue."""
        before = int(time.time() - rules.checked_span("days_old", days_old, 86_400))
        cursor = cls._db().execute_sql("DELETE FROM usage_snapshots WHERE timestamp < ?", (before,))
        deleted: int = cursor.rowcount
        return deleted

    @staticmethod
    def _row(session_id: Any, data: Any, kind: Any, timestamp: Any) -> tuple[str, str, int, str]:
        session = rules.checked_session_id(session_id)
        return (
            payloads.encode(data),
            rules.checked_snapshot_type(kind),
            rules.checked_timestamp(timestamp),
            session,
        )

    @classmethod
    def _mapped_row(cls, snapshot: Mapping[str, Any]) -> tuple[str, str, int, str]:
        try:
            given = dict(snapshot)
        except (TypeError, ValueError):
            raise InvalidValue("snapshot", snapshot, "a mapping of field to value") from None
        for field in given:
            if field not in cls.FIELDS:
                raise UnknownField(field, cls.FIELDS)
        for field in cls.FIELDS[:2]:
            if field not in given:
                raise InvalidValue(field, None, "a value: it has no default")
        return cls._row(
            given["session_id"], given["snapshot_data"], given.get("snapshot_type", "stats"), given.get("timestamp")
        )

    @classmethod
    def _numbered_row(cls, number: int, snapshot: Mapping[str, Any]) -> tuple[str, str, int, str]:
        try:
            return cls._mapped_row(snapshot)
        except RejectedInput as error:
            error.args = (f"snapshot {number}: {error}",)
            raise

    @classmethod
    def _unknown_in(cls, batch: list[tuple[str, str, int, str]], offset: int) -> UnknownSession:
        known = {row[0] for row in cls._db().execute_sql("SELECT session_id FROM usage_sessions")}
        number, session_id = next((number, row[3]) for number, row in enumerate(batch) if row[3] not in known)
        error = UnknownSession(session_id)
        error.args = (f"snapshot {offset + number}: {error}",)
        return error


for _field in ("session", "timestamp", "snapshot_type"):
    _name = {"session": "session_id", "snapshot_type": "type"}.get(_field, _field)
    UsageSnapshot.add_index(UsageSnapshot.index(getattr(UsageSnapshot, _field), name=f"idx_usage_snapshots_{_name}"))

MODELS = (UsageSession, UsageConfig, UsageSnapshot)
