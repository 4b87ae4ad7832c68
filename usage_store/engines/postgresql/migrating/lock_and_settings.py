"""Give a run of migrations its lock, and set up its connection."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from usage_store.engines.postgresql.catalogs.list_tables import kind_of
from usage_store.engines.postgresql.connection.check_server import check_may_create, is_pooled
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.names import name_of
from usage_store.engines.postgresql.connection.open_server import refuse_readonly
from usage_store.engines.postgresql.connection.write_transaction import in_transaction
from usage_store.engines.postgresql.migrating.guarded_transaction import make_guard, never_commits, remove_guard
from usage_store.engines.postgresql.migrating.watched.settings_of_a_session import put_back, read_settings
from usage_store.errors import ConfigurationError, DatabaseLocked, TransactionOpen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL = 0.05  # seconds
_ANOTHER = "another process is migrating this database"
_POOLED = (
    "the connection goes through a pooler, which may run each transaction in another session of the server; a lock of "
    "migrations belongs to one session, so migrate with a URL that connects to the server directly"
)
_UNCOUNTED = (
    "the server does not count the rows that a migration deletes, because its setting track_counts is off, so lost "
    "rows would not be noticed; a superuser switches it on: ALTER ROLE your_role SET track_counts = on"
)
_NOTICES_DEATH = "client_connection_check_interval"  # the server ends a statement whose client has died
_INTERVAL = "500ms"
# An advisory lock with a key of 64 bits is shown in pg_locks as two halves, with objsubid 1.
_HOLDER = """
SELECT l.pid, a.application_name, a.backend_start::timestamp(0)::text
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid = {high} AND l.objid = {low}
AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


def _nothing() -> None:
    """Do nothing."""


class Alone(NamedTuple):
    """What a run has that holds the migration lock. Without a key, as in a rehearsal, nothing is required of it.

    `set_up` takes the lock and makes the settings again. The lock of `key` must belong to the session `pid`: the watch
    asks for it in the transaction of each migration, together with everything else, so `check_lock` does nothing.
    """

    set_up: Callable[[], None] = _nothing
    check_lock: Callable[[], None] = _nothing
    run: _Run | None = None

    @property
    def key(self) -> int:
        """The key of the lock."""
        return 0 if self.run is None else self.run.key

    def require(self, pid: int, *, held: bool) -> None:
        """Raise DatabaseLocked if this session does not hold the lock, ConfigurationError if it is another session."""
        if self.run is not None:
            self.run.require(pid, held=held)


@contextmanager
def alone(
    database: peewee.PostgresqlDatabase, table: str, wait: float, on_wait: Callable[[str], None]
) -> Iterator[Alone]:
    """Hold the migration lock in the block, with the connection set up for migrations; restore its settings after it.

    The lock is an advisory lock of the server's session. Its key is made of the schema and of `table`, the history
    table, so two histories do not wait for each other. The server frees the lock when the session ends. The lock is
    asked for again and again outside a transaction: a session that waits inside a statement would deadlock with CREATE
    INDEX CONCURRENTLY.

    In the transaction of a rehearsal, whose connection has all of this already, nothing is done.

    Raises TransactionOpen, ConfigurationError for a pooler or a server that does not count rows, and DatabaseLocked if
    the lock is not had in `wait` seconds.
    """
    if in_transaction(database) or database.in_transaction():
        if not never_commits(database):
            raise TransactionOpen(
                "a transaction is open, and migrations need transactions of their own; commit it or roll it back first"
            )
        yield Alone()  # the rehearsal holds the lock
        return
    refuse_readonly(database)
    if kind_of(database, table) is None:  # the run has to create it
        check_may_create(database, name_of(database))
    run = _Run(database, table, wait, on_wait)
    try:
        run.set_up()
        yield Alone(run.set_up, run=run)
    finally:
        with suppress(peewee.PeeweeException, *driver_errors()):  # a session that ended has given up all of it
            run.give_up()


class _Run:
    def __init__(
        self, database: peewee.PostgresqlDatabase, table: str, wait: float, on_wait: Callable[[str], None]
    ) -> None:
        self._database, self._table, self._wait, self._on_wait = database, table, wait, on_wait
        self._connection: Any = None
        self.key = 0
        self._pid = 0
        self._before = "0"
        self._settings: dict[str, str] = {}

    def set_up(self) -> None:
        connection = self._database.connection()
        if connection is not self._connection:
            if is_pooled(self._database):
                raise ConfigurationError(_POOLED)
            schema, pid, before, counts = self._ask(
                f"SELECT current_schema(), pg_backend_pid(), current_setting('{_NOTICES_DEATH}'), "
                "current_setting('track_counts')"
            )
            if counts != "on":
                raise ConfigurationError(_UNCOUNTED)
            self.key, self._pid, self._before = key_of(schema, self._table), pid, before
            self._acquire(f"{schema}.{self._table}")
            self._connection = connection
            self._settings = read_settings(self._database)
        put_back(self._database, self._settings)  # what a migration outside a transaction has changed
        with suppress(peewee.DataError):  # the server's system cannot do this
            self._ask(f"SELECT set_config('{_NOTICES_DEATH}', '{_INTERVAL}', false)")
        make_guard(self._database)

    def require(self, pid: int, *, held: bool) -> None:
        if pid != self._pid:
            raise ConfigurationError(_POOLED)
        if not held:
            raise DatabaseLocked(
                "this session gave up the migration lock, so another process may be migrating this database; nothing "
                "more was run"
            )

    def give_up(self) -> None:
        if self._connection is None or self._database.is_closed():
            return
        if self._database.connection() is self._connection:
            remove_guard(self._database)
            self._ask(f"SELECT set_config('{_NOTICES_DEATH}', '{self._before}', false)")
            self._ask("SELECT pg_advisory_unlock({key})")

    def _ask(self, sql: str) -> tuple[Any, ...]:
        high, low = divmod(self.key % 2**64, 2**32)
        row: tuple[Any, ...] = self._database.execute_sql(sql.format(key=self.key, high=high, low=low)).fetchone()
        return row

    def _acquire(self, name: str) -> None:
        deadline = time.monotonic() + self._wait
        told = False
        while not self._ask("SELECT pg_try_advisory_lock({key})")[0]:
            if time.monotonic() >= deadline:
                raise DatabaseLocked(f"{_ANOTHER}{self._holder()}; waited {self._wait:g} s for the lock of {name}")
            if not told:
                self._on_wait(f"{_ANOTHER}; waiting up to {self._wait:g} s")
                told = True
            time.sleep(_POLL)

    def _holder(self) -> str:
        row = self._ask(_HOLDER)
        if row is None:
            return ""
        pid, application, since = row
        return f" (pid {pid}, {application or 'without application_name'}, connected since {since})"


def key_of(schema: str, table: str) -> int:
    """Return the key of the migration lock of a history table: 64 bits, signed."""
    digest = hashlib.sha256(f"usage_store migrations of {schema}.{table}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
