"""Refuse undeclared losses in a migration with `atomic = False`, before they happen, and name what it leaves invalid.

Such a migration runs outside a transaction, so nothing could be rolled back afterwards.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.engines.postgresql.connection.write_transaction import has_failed, is_idle
from usage_store.engines.postgresql.migrating.forbidden_statements import Guard
from usage_store.engines.postgresql.migrating.guarded_transaction import LOCK_TIMEOUT
from usage_store.engines.postgresql.migrating.repeat_a_migration import retry_after
from usage_store.engines.postgresql.migrating.watched import kinds_of_statements as kinds
from usage_store.engines.postgresql.migrating.watched.advisory_locks import gave_up, read_locks
from usage_store.engines.postgresql.migrating.watched.left_invalid import Invalid, read_invalid
from usage_store.engines.postgresql.migrating.watched.objects_of_a_schema import (
    EVERY_ACTION,
    meant_by,
    numbers_of,
    reached_from,
)
from usage_store.engines.postgresql.migrating.watched.own_tables import changed, kept, kept_of, read_own
from usage_store.engines.postgresql.migrating.watched.seen_statements import seeing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from usage_store.engines.postgresql.migrating.watched.kept_schema import KeptSchema
    from usage_store.engines.postgresql.migrating.watched.objects_of_a_schema import Schema

_MOST_TRIES = 20  # of one statement that does not get its lock
_TAKE_ALONG = {"DELETE": "c", "TRUNCATE": EVERY_ACTION}  # rows that refer to those that go, by what ON DELETE says


class OutsideGuard(Guard):
    """Watch a migration that runs outside a transaction: refuse each undeclared DELETE, TRUNCATE and DROP.

    Not refused are: everything when `undoing`, and changes of tables that the migration itself created. The tables are
    those that the text of a statement names, and those whose rows go along by ON DELETE CASCADE or TRUNCATE CASCADE. A
    dropped column must be declared even if it holds no values.

    A statement waits for a lock as long as one inside a transaction would, and then runs again, a few times. One with
    CONCURRENTLY waits for as long as it takes, because nobody waits behind it.
    """

    def __init__(
        self,
        database: peewee.PostgresqlDatabase,
        own: Collection[str],
        deletes: Collection[str],
        kept: KeptSchema,
        *,
        undoing: bool,
    ) -> None:
        super().__init__(database, own, kept)
        self._declared = deletes
        self._kept = kept
        self._undoing = undoing
        self._tries = 0
        self._there: Schema
        self._invalid: list[Invalid] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the connection during the block. What is left invalid after an error is noted in `left`."""
        self._there = self._kept.read()
        self._meant = meant_by(self._declared, self._there)
        self._invalid = read_invalid(self._database)
        self._states = kept_of(read_own(self._database, self._own))
        self._locks = read_locks(self._database)
        self._wait_for_locks(LOCK_TIMEOUT)
        with seeing(self._database, self._before, self._after):
            try:
                yield
            except BaseException:
                with suppress(peewee.PeeweeException, *driver_errors()), self._unseen():
                    if is_idle(self._database):
                        self.left = tuple(map(str, self._left_invalid()))
                raise

    def _wait_for_locks(self, milliseconds: int) -> None:
        self._database.execute_sql(f"SET lock_timeout = {milliseconds}")

    def _before(self, sql: str) -> None:
        if self._asking:
            return
        text = kinds.without_comments(sql)
        self._statements.append(text)
        with self._unseen():
            reason = self._of_the_runner(text) or self._undeclared(text)
            if reason is not None:
                self._refuse(reason)
            if kinds.is_concurrent(text) and is_idle(self._database):
                self._wait_for_locks(0)

    def _after(self, sql: str, error: BaseException | None) -> bool:
        if self._asking:
            return False
        with self._unseen():
            if kinds.is_concurrent(sql) and is_idle(self._database):
                self._wait_for_locks(LOCK_TIMEOUT)
        if error is None:
            self._tries = 0
            if not has_failed(self._database):
                self._check_locks(sql)
            return False
        self._explain(sql, error)
        pause = retry_after(error, self._tries)
        self._tries += 1
        again = sqlstate(error) == "55P03" and is_idle(self._database) and self._tries < _MOST_TRIES
        if again and pause is not None:
            time.sleep(pause)
        return again

    def _of_the_runner(self, text: str) -> str | None:
        if kinds.reads(text):
            return None
        return next((kept(name) for name in self._own if kinds.names(text, name)), None)

    def _undeclared(self, text: str) -> str | None:
        if self._undoing or has_failed(self._database):
            return None
        for what, name in self._targets(text):
            if name not in self._meant:
                return _undeclared(what, name)
        for column in kinds.drops_columns(text):
            table, _, name = column.partition(".")
            lost = {f"{each}.{name}" for each in self._reached(table, "")}
            if column not in self._meant and not lost <= self._meant:
                return _undeclared("ALTER TABLE that drops a column", column)
        return None

    def _targets(self, text: str) -> Iterator[tuple[str, str]]:
        for what, name in kinds.may_lose_rows_of(text):
            taken_along = what if what == "DELETE" or kinds.names(text, "CASCADE") else ""
            meant = numbers_of(self._database, [name]) if name in self._meant else ()  # by the name that it has now
            yield from ((what, table) for table in self._reached(name, taken_along, meant))

    def _reached(self, name: str, what: str, meant: Collection[int] = ()) -> list[str]:
        """Return the tables of before whose rows go if those of a table go: this one, its parts, and who refers to it.

        A partitioned table has no rows of its own, only its parts have. Tables with the numbers `meant` are left out.
        """
        found = reached_from(self._database, numbers_of(self._database, [name]), _TAKE_ALONG.get(what, ""))
        names = sorted(self._there.tables[oid].name for oid in (found & self._there.tables.keys()).difference(meant))
        return sorted(names, key=name.__ne__)

    def _left_invalid(self) -> list[Invalid]:
        """Return what is invalid now and was not before, or what a CREATE of the migration has passed over."""
        return [
            each
            for each in read_invalid(self._database)
            if each not in self._invalid
            or any(kinds.names(text, "CREATE") and kinds.names(text, each.name) for text in self._statements)
        ]

    def fault(self) -> str | None:
        """Return why the migration must not be recorded as applied, or None. Reads only."""
        if self.refused is None:
            left = self._left_invalid()
            own = changed(self._states, kept_of(read_own(self._database, self._own)))
            self.refused = "; ".join(map(str, left)) or own or gave_up(self._locks, read_locks(self._database))
        return self.refused


def _undeclared(what: str, name: str) -> str:
    return (
        f"{what} of {name} in a migration with atomic = False, which cannot be rolled back; "
        f"if that is meant, declare deletes = ({name!r},)"
    )
