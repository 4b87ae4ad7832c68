"""Refuse what a migration must not do to the runner's transaction, session and tables, at the statement that did it.

The server refuses and rolls back (see `guarded_transaction`). Here its answer gets words, and what it lets pass is
noticed: ROLLBACK, BEGIN, settings of the session, and changes of the runner's own tables.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.error_messages import sqlstate, told
from usage_store.engines.postgresql.connection.write_transaction import has_failed, is_idle
from usage_store.engines.postgresql.migrating.guarded_transaction import GUARD, GUARDS, NEVER_COMMITTED, NUMBERED
from usage_store.engines.postgresql.migrating.state_of_a_transaction import read_state
from usage_store.engines.postgresql.migrating.watched import kinds_of_statements as kinds
from usage_store.engines.postgresql.migrating.watched.advisory_locks import gave_up, read_locks
from usage_store.engines.postgresql.migrating.watched.left_invalid import read_invalid
from usage_store.engines.postgresql.migrating.watched.lost_rows import Losses
from usage_store.engines.postgresql.migrating.watched.own_tables import changed, read_own
from usage_store.engines.postgresql.migrating.watched.seen_statements import seeing
from usage_store.engines.postgresql.migrating.watched.settings_of_a_session import (
    changed_for_the_session,
    outlives,
    put_back,
    read_settings,
)
from usage_store.errors import GuardTripped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import peewee

    from usage_store.engines.postgresql.migrating.state_of_a_transaction import State
    from usage_store.engines.postgresql.migrating.watched.kept_schema import KeptSchema

ROLLED_BACK = "a statement of the migration rolled back the transaction of the runner"
_ENDS = "{} inside a migration: the runner commits, together with the history row"
_IMMEDIATE = (
    "SET CONSTRAINTS ALL IMMEDIATE inside a migration also meets the constraint with which the runner guards its "
    "transaction: name the constraints that you mean"
)
_PERCENT = "a % in SQL must be written %%, because the driver takes a single % for the place of a parameter"
_QUESTION = "the place of a parameter is written %s in SQL for PostgreSQL, not ?"
_OUTSIDE = "{}; a migration with atomic = False runs in no transaction"
_UNIQUE, _READ_ONLY, _FAILED, _IN_A_BLOCK, _IN_A_TRANSACTION = "23505", "25006", "25P02", "2D000", "25001"
_SYNTAX = "42601"
_MEANING = ("search_path", "role")  # a role sees only the schemas that it may use


class Guard:
    """Watch the statements of one migration in the runner's transaction. `refused` holds the first reason to refuse.

    `failed` is the error of a statement that ended the transaction, as long as no savepoint has mended it.
    """

    def __init__(
        self, database: peewee.PostgresqlDatabase, own: Collection[str], kept: KeptSchema, start: State | None = None
    ) -> None:
        self.refused: str | None = None
        self.failed: BaseException | None = None
        self.left: tuple[str, ...] = ()  # what a migration outside a transaction left behind when it failed
        self.losses = Losses(database, kept, in_a_rehearsal=start is None or start.is_rehearsal)
        self.end: State | None = None
        self.start = start
        self._failed_sql = ""
        self._database = database
        self._own = own
        self._asking = False
        self._statements: list[str] = []
        self._states: dict[str, tuple[Any, ...]] = {}
        self._settings: dict[str, str] = {}
        self._locks: Collection[str] = ()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the connection during the block."""
        if self.start is None:
            self._settings, self._locks = read_settings(self._database), read_locks(self._database)
            self._states = read_own(self._database, self._own)
        else:
            self._settings, self._states, self._locks = self.start.settings, self.start.own, self.start.locks
        with seeing(self._database, self._before, self._after):
            try:
                yield
            except BaseException as error:
                self._explain("", error)  # a method of the driver's connection may have raised it
                raise

    def _before(self, sql: str) -> None:
        if self._asking:
            return
        self._statements.append(sql)
        if is_idle(self._database):
            self._refuse(self.refused or ROLLED_BACK)
        if kinds.only_creates(sql) or has_failed(self._database):
            return
        with self._unseen():
            self.losses.before(sql)

    def _after(self, sql: str, error: BaseException | None) -> bool:
        if self._asking:
            return False
        if error is not None:
            self._explain(sql, error)
            return False
        text = kinds.without_comments(sql)
        ended = kinds.ends_transaction(text) or kinds.begins_transaction(text)
        if ended is not None or is_idle(self._database):
            self._refuse(_ENDS.format(ended or "ROLLBACK"))
        if kinds.sets_for_the_session(text):
            self._refuse(outlives(" ".join(text.split())))
        if not has_failed(self._database):
            self.failed = None
            self._check_locks(text)
            with self._unseen():
                self.losses.after(text)
                if any(kinds.names(text, name) for name in self._own):
                    self._check_own()
        return False

    def _explain(self, sql: str, error: BaseException) -> None:
        """Find the words for an error of the server or of the driver."""
        state = sqlstate(error)
        reason = None
        if state == _UNIQUE and told(error, "table_name") in (GUARD, NEVER_COMMITTED):
            word = kinds.ends_transaction(kinds.without_comments(sql)) or "COMMIT"
            reason = _IMMEDIATE if kinds.names(sql, "CONSTRAINTS") else _ENDS.format(word)
        elif state == _IN_A_BLOCK:
            reason = _ENDS.format("COMMIT or ROLLBACK")
        elif state == _IN_A_TRANSACTION:
            reason = _OUTSIDE.format(str(error).partition("\n")[0])
        elif state == _READ_ONLY:
            reason = ROLLED_BACK
        elif state == _FAILED and self.failed is not None:
            reason = self.went_on()
        elif state is None and sql and kinds.has_lone_percent(sql) and not isinstance(error, GuardTripped):
            reason = _PERCENT
        elif state in (None, _SYNTAX) and kinds.has_question_mark(sql) and not isinstance(error, GuardTripped):
            reason = _QUESTION
        self.refused = self.refused or reason
        if self.failed is None and state is not None and sql:
            self.failed, self._failed_sql = error, " ".join(sql.split())

    def went_on(self) -> str:
        """Return the reason to refuse a migration that went on after a statement that failed."""
        line = str(self.failed).partition("\n")[0]
        return (
            f"an earlier statement failed, and after that the server refuses all others: {self._failed_sql} ({line}); "
            "put a statement that may fail into a block of db.atomic()"
        )

    def _check_own(self) -> None:
        reason = changed(self._states, read_own(self._database, self._own))
        if reason is not None:
            self._refuse(reason)

    def _check_locks(self, text: str) -> None:
        if kinds.gives_up_locks(text):
            with self._unseen():
                reason = gave_up(self._locks, read_locks(self._database))
            if reason is not None:
                self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        self.refused = self.refused or reason
        raise GuardTripped(reason)

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def fault(self) -> str | None:
        """Return why the transaction must not be committed, or None; then settings are as before the migration."""
        if self.refused is None:
            self.refused = self._fault()
        return self.refused

    def _fault(self) -> str | None:
        if has_failed(self._database):
            return self.went_on()
        if is_idle(self._database):
            return ROLLED_BACK
        if any(map(kinds.may_set, self._statements)):  # first, so that no timeout of the migration ends what follows
            reason = self._put_back(read_settings(self._database))
            if reason is not None:
                return reason
        if any(map(kinds.savepoint, self._statements)):
            self._database.execute_sql(NUMBERED)
        end = self.end = read_state(self._database, self._own, at_the_end=True)
        if end.guards != GUARDS:
            return ROLLED_BACK
        reason = self._put_back(end.settings) or gave_up(self._locks, end.locks)
        if reason is not None:
            return reason
        if any(end.settings[name] != self._settings[name] for name in _MEANING):  # names mean what they meant before
            end = self.end = read_state(self._database, self._own, at_the_end=True)
        return self._passed_over() or changed(self._states, end.own)

    def _put_back(self, now: dict[str, str]) -> str | None:
        """Put settings back that the migration changed for its transaction. Return why it is refused, or None."""
        reason = changed_for_the_session(self._settings, now, self._statements)
        if reason is None:
            put_back(self._database, self._settings, self._statements, ("lock_timeout",), now)
        return reason

    def _passed_over(self) -> str | None:
        """Return the invalid index that a CREATE INDEX IF NOT EXISTS took for done, or None."""
        asked = [sql for sql in self._statements if kinds.names(sql, "EXISTS") and kinds.names(sql, "INDEX")]
        if not asked:
            return None
        names = {name for sql in asked for name in kinds.words(sql)}
        found = read_invalid(self._database, names)
        return str(found[0]) if found else None
