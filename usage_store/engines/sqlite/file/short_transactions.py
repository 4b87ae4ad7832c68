"""Divide long work into short transactions: choose the rows of each one, and let other connections write in between."""

from __future__ import annotations

import bisect
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.pace import HOLD, OneTurn, Pace
from usage_store.engines.sqlite.connection.error_messages import is_locked
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.write_transaction import in_transaction, without_waiting, write_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

# SQLite has no queue for its write lock. A connection that finds the lock taken sleeps and tries again. These are the
# times of its tries, in milliseconds after the first one (sqliteDefaultBusyCallback in SQLite's main.c). It gets the
# lock only if the lock is free at one of these times.
_ASKED_AGAIN = (0, 1, 3, 8, 18, 33, 53, 78)
_LATE = 2  # milliseconds: a sleeping process wakes up a little late
_PAUSES = (0, 0.001, 0.01, 0.1, 0.3, 0.6)  # seconds between two tries of a checkpoint


class Turns:
    """Pace a long job: after each short transaction, leave the write lock free until all who wait have retried once.

    A slice is one short transaction. `hold` is the number of seconds that a slice should hold the write lock. `last`
    and `longest` are the seconds that the last slice and the longest slice held it.
    """

    hold = HOLD  # even if a slice takes three times as long, a waiting connection gets the lock within 50 ms

    def __init__(self) -> None:
        self.last = self.longest = 0.0
        self._next = 0.0

    @contextmanager
    def slice(self, database: peewee.SqliteDatabase) -> Iterator[None]:
        """Let waiting connections write first, then run the block in a write transaction and measure how long it takes.

        After the commit, the -wal is copied to the database file.
        """
        self._wait()
        with write_transaction(database):
            began = time.monotonic()  # after BEGIN: waiting for the lock delays no other connection
            yield
        ended = time.monotonic()
        self.last = ended - began
        self.longest = max(self.longest, self.last)
        self._next = ended + _gap(self.last)
        self._copy_wal(database)

    def _wait(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))

    def _copy_wal(self, database: peewee.SqliteDatabase) -> None:
        checkpoint(database)


class PassingTurns(Turns):
    """Pace a job that runs inside another call of the application: short slices, and no waiting.

    The caller decides how much time passes between two slices. The -wal is left to SQLite's automatic checkpoints. Use
    it inside `without_waiting()`.
    """

    hold = HOLD / 3

    def _wait(self) -> None:
        pass

    def _copy_wal(self, database: peewee.SqliteDatabase) -> None:
        pass


def _gap(seconds: float) -> float:
    """Return how many seconds the lock must stay free for all who wait to retry, after it was held for `seconds`."""
    asked = min(bisect.bisect_right(_ASKED_AGAIN, seconds * 1000), len(_ASKED_AGAIN) - 1)
    return (_ASKED_AGAIN[asked] - _ASKED_AGAIN[asked - 1] + _LATE) / 1000


def finish(database: peewee.SqliteDatabase, work: Callable[[Pace], Iterator[int]]) -> int:
    """Do a job to its end and return the sum of its results.

    The job runs in short transactions. If a transaction is already open, all of the job runs in that one.
    """
    if in_transaction(database):
        return sum(work(Pace(OneTurn(), 2**63 - 1)))
    with without_automatic_checkpoints(database):
        return sum(work(Pace(Turns())))


def without_automatic_checkpoints(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Stop SQLite from copying the -wal to the file during a commit in the block; the slices do it between commits."""
    return pragma_set(database, "wal_autocheckpoint", 0)


def checkpoint(database: peewee.SqliteDatabase) -> None:
    """Copy the -wal to the database file while others write, so that SQLite can reuse the -wal.

    Waits up to a second if another connection does the same.
    """
    before = None
    for pause in _PAUSES:
        found = database.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if found == before:
            return  # two equal answers: all is copied, or a reader still needs the rest
        busy = found[0]
        before = None if busy else found
        time.sleep(pause if busy else 0)
    restart_wal(database, "RESTART")  # others write faster than this copies


def restart_wal(database: peewee.SqliteDatabase, how: str) -> None:
    """Hold the write lock, copy the rest of the -wal, and make SQLite reuse it (RESTART) or empty it (TRUNCATE).

    Does nothing if another connection is using the lock or the -wal.
    """
    with without_waiting(database):
        try:
            database.execute_sql(f"PRAGMA wal_checkpoint({how})").fetchall()
        except peewee.OperationalError as error:
            if not is_locked(error):
                raise


def truncate_wal(database: peewee.SqliteDatabase) -> None:
    """Empty the -wal file as far as open readers allow, without waiting for them."""
    checkpoint(database)
    restart_wal(database, "TRUNCATE")
