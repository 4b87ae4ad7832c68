"""The Peewee database of a server that this package opens: its settings, its errors, lost connections and forks."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

import peewee

from usage_store.engines.postgresql.connection.check_server import check_server, no_schema
from usage_store.engines.postgresql.connection.driver import required_driver
from usage_store.engines.postgresql.connection.error_messages import AGAIN, LOST, raise_for, raise_of_connecting
from usage_store.engines.postgresql.connection.forks import GATE, Inherited, watch
from usage_store.engines.postgresql.connection.names import url_of
from usage_store.engines.postgresql.connection.read_url import refuse_schema, with_defaults
from usage_store.engines.postgresql.connection.write_transaction import has_failed
from usage_store.errors import ConfigurationError, DatabaseUnreadable

if TYPE_CHECKING:
    from usage_store.engines.postgresql.connection.read_url import Target

_FAILED = (
    "an earlier statement of the transaction failed, so nothing of it was stored; put a statement that may fail into a "
    "block of atomic()"
)
_LONGEST_TIMEOUT = 2**31 - 1  # milliseconds: the largest number that the server takes
# Behind a pooler, settings of a session would reach the sessions of other programs, so nothing is set there.
_SET_UP = """
SELECT here.own, CASE WHEN here.own THEN set_config('lock_timeout', %(wait)s, false) END,
    CASE WHEN here.own AND %(readonly)s THEN set_config('default_transaction_read_only', 'on', false) END,
    CASE WHEN here.own AND %(schema)s::text IS NOT NULL THEN
        set_config('search_path', quote_ident(%(schema)s::text), false) END,
    CASE WHEN %(schema)s::text IS NULL THEN current_schema()::text
        ELSE (SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::text
            AND has_schema_privilege(oid, 'USAGE')) END,
    EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::text),
    current_user::text, current_setting('search_path')
FROM (SELECT pg_backend_pid() = %(pid)s AS own) AS here
"""


class OurServer(peewee.PostgresqlDatabase):
    """A database on a PostgreSQL server, opened by a URL, with psycopg 3.

    `schema` is the schema of the URL, and `readonly` says that the server refuses to write. `timeout` is how many
    seconds a statement waits for a lock. After a lost connection one call raises DatabaseUnreadable, and the next call
    connects again; a transaction that was open is over. A child of a fork connects anew and leaves the connections of
    its parent alone.
    """

    _state: Any  # peewee's, not in its stubs

    def __init__(self, target: Target, *, readonly: bool = False, timeout: float = 5) -> None:
        self.schema = target.schema
        self.readonly = readonly
        self.pooled = False
        self._timeout = timeout
        self._made: WeakSet[Any] = WeakSet()  # the connections of all threads
        parameters = with_defaults(target.parameters)
        super().__init__(url_of(parameters, target.schema), prefer_psycopg3=True)
        self.connect_params = parameters
        watch(self)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed() else "connected"
        return f"<{type(self).__name__} {self.database!r}, {state}{', read-only' * self.readonly}>"

    def _connect(self) -> Any:
        connection = required_driver().connect(**self.connect_params, autocommit=True)
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        with GATE:
            self._made.add(connection)
        return connection

    def _set_up(self, connection: Any) -> None:
        check_server(connection.info.server_version, connection.info.parameter_status("server_encoding"))
        wait = min(max(1, int(self._timeout * 1000)), _LONGEST_TIMEOUT)  # 0 would mean to wait for ever
        pid = connection.info.backend_pid
        given = {"wait": str(wait), "readonly": self.readonly, "schema": self.schema, "pid": pid}
        own, _, _, _, schema, exists, role, path = connection.execute(_SET_UP, given).fetchone()
        self.pooled = not own
        if self.pooled:
            connection.prepare_threshold = None  # another backend does not know what this one has prepared
            self._refuse_settings_behind_a_pooler()
        if self.schema is not None and not exists:
            raise DatabaseUnreadable(
                f'{self.database}: no such schema; CREATE SCHEMA "{self.schema}" creates it (sqlstate 3F000)'
            )
        if schema is None:
            raise DatabaseUnreadable(f"{self.database}: {no_schema(role, self.schema or path)}")
        refuse_schema(schema)

    def _refuse_settings_behind_a_pooler(self) -> None:
        wanted = "?schema=" if self.schema is not None else "reading only" if self.readonly else None
        if wanted is not None:
            raise ConfigurationError(
                f"{self.database}: a pooler stands before the server, and {wanted} needs a setting of the session, "
                "which would reach other programs; connect directly to the server"
                + (", or set the schema by ALTER ROLE ... SET search_path" if self.schema is not None else "")
            )

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002  peewee's signature
        """Connect this thread as peewee does. Raises DatabaseUnreadable, and ConfigurationError for a wrong server."""
        try:
            opened = super().connect(reuse_if_open)
        except peewee.DatabaseError as error:
            raise_of_connecting(error, self.database)
        if opened:
            self._state.at_end_of_thread = _CloseAtEndOfThread(self._state.conn)
        return opened

    def close(self) -> bool:
        """Close this thread's connection as peewee does, and return whether it was open."""
        closed: bool = super().close()
        self._state.at_end_of_thread = None
        return closed

    def close_all(self) -> None:
        """Close this thread's connection and those of other threads, but none that is in use or in a transaction."""
        self.close()
        with GATE:
            others = list(self._made)
        for connection in others:
            if connection.lock.acquire(blocking=False):
                try:
                    if not connection.closed and not connection.info.transaction_status:
                        connection.close()
                finally:
                    connection.lock.release()

    def connection(self) -> Any:
        """Return this thread's connection; connects if there is none, or none any more."""
        state = self._state
        if not state.closed and not state.conn.closed:
            return state.conn  # the usual case: each statement asks, and peewee's way takes longer
        self._replace_if_lost()
        return super().connection()  # type: ignore[no-untyped-call]  # not in its stubs

    def cursor(self, named_cursor: Any = None) -> Any:
        """Return a cursor of this thread's connection; connects if there is none, or none any more."""
        self._replace_if_lost()
        return super().cursor(named_cursor)  # type: ignore[no-untyped-call]  # as above

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement as peewee does. Raises DatabaseLocked, DatabaseUnreadable and others, also peewee errors."""
        try:
            return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]  # as above
        except (peewee.DatabaseError, peewee.InterfaceError) as error:
            self._raise(error)

    def begin(self, isolation_level: Any = None) -> None:
        """Begin a transaction as peewee does. Raises as `execute_sql`."""
        try:
            super().begin(isolation_level)
        except (peewee.DatabaseError, peewee.InterfaceError) as error:
            self._raise(error)

    def commit(self) -> Any:
        """Commit as peewee does. Raises as `execute_sql`, also if the connection was lost or a statement failed before.

        The server itself rolls back a transaction with a failed statement at COMMIT, and says nothing.
        """
        self._refuse_if_lost()
        failed = not self.is_closed() and has_failed(self)
        try:
            done = super().commit()
        except (peewee.DatabaseError, peewee.InterfaceError) as error:
            self._raise(error)
        if failed:
            raise peewee.InternalError(f"{self.database}: {_FAILED}")
        return done

    def rollback(self) -> Any:
        """Roll back as peewee does. Does nothing if the connection was lost: the server has rolled back then."""
        state = self._state
        if state.closed or not state.conn.closed:
            with suppress(peewee.OperationalError, peewee.InterfaceError):  # it is lost now
                return super().rollback()
        return None

    def _raise(self, error: Exception) -> NoReturn:
        raise_for(error, self)

    def _refuse_if_lost(self) -> None:
        state = self._state
        if not state.closed and state.conn.closed:
            if isinstance(state.conn, Inherited):
                state.conn.cursor  # noqa: B018  raises ForkedConnection
            raise DatabaseUnreadable(f"{self.database}: {LOST}, so nothing of the transaction was stored; {AGAIN}")

    def _replace_if_lost(self) -> None:
        # While a transaction is open, a new connection would store its second half without the first.
        state = self._state
        if not state.closed and state.conn.closed and not state.transactions:
            blocks, state.conn, state.closed = state.ctx, None, True
            try:
                self.connect()
            finally:
                state.ctx = blocks  # peewee's connection_context() looks for itself there


class _CloseAtEndOfThread:
    """Closes the connection of the thread that makes this object, when that thread ends and Python frees its locals."""

    _process: int | None = None  # until `__init__` has ended, which a signal handler may interrupt

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() == self._process:
            self._connection.close()
