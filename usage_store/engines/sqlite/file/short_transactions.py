"""Long work in short transactions: how many rows at once, and how long to let others write in between."""

from __future__ import annotations

import bisect
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.error_messages import is_locked
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.write_transaction import in_transaction, without_waiting, write_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

# A lock in SQLite has no queue. Whoever finds it taken sleeps and asks again, so many milliseconds after the first time
# (sqliteDefaultBusyCallback in SQLite's main.c), and gets it only if it is free at such a moment.
_ASKED_AGAIN = (0, 1, 3, 8, 18, 33, 53, 78)
_LATE = 2  # milliseconds: sleepers wake late
HOLD = 0.010  # seconds: of a slice of three times as much, whoever waits is still free within 50 ms
_TOO_LONG = 4  # times as long as a slice is to be
_LARGEST = 100_000  # rows
_REMEMBERED = 4  # slices
_PAUSES = (0, 0.001, 0.01, 0.1, 0.3, 0.6)  # seconds


class Turns:
    """When whoever does some work may take the write lock again, so that others come in between.

    After each slice it stays free for so long that whoever waits for it asks again meanwhile. `last` and `longest` are
    how many seconds the last and the longest slice held it; `hold` is how many one is to hold it.
    """

    hold = HOLD

    def __init__(self) -> None:
        self.last = self.longest = 0.0
        self._next = 0.0

    @contextmanager
    def slice(self, database: peewee.SqliteDatabase) -> Iterator[None]:
        """Let others write, hold the write lock for the block, commit, measure, and copy the -wal to the file."""
        self._wait()
        with write_transaction(database):
            began = time.monotonic()  # to wait for the lock holds up nobody
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
    """Turns of somebody in passing, who has something else to do: short slices, as far apart as the caller likes.

    They wait for nothing, and leave the -wal to SQLite's automatic checkpoints. Use them in `without_waiting()`.
    """

    hold = HOLD / 3

    def _wait(self) -> None:
        pass

    def _copy_wal(self, database: peewee.SqliteDatabase) -> None:
        pass


class _OneTurn(Turns):
    """All of the work in a transaction that is open already."""

    @contextmanager
    def slice(self, database: peewee.SqliteDatabase) -> Iterator[None]:  # noqa: ARG002  as Turns'
        """Leave everything to the transaction."""
        yield


class Pace:
    """How many rows of some work hold the write lock for as long as its turns are to: the `size` of the next slice."""

    def __init__(self, turns: Turns, size: int = 10) -> None:
        self.size = size
        self._turns = turns
        self._seconds_a_row: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def slice(self, database: peewee.SqliteDatabase) -> Iterator[None]:
        """Do a slice when it is one's turn, and learn from it."""
        rows = self.size
        with self._turns.slice(database):
            yield
        # The quickest of the last slices: what held up the others, such as a busy processor, fewer rows do not mend.
        self._seconds_a_row.append(max(self._turns.last, 1e-6) / rows)
        hold = self._turns.hold
        most = 2 * rows if self._turns.last <= _TOO_LONG * hold else rows // 2
        self.size = max(1, min(_LARGEST, most, int(hold / min(self._seconds_a_row))))


def _gap(seconds: float) -> float:
    """Give for how many seconds a lock that was held for so long must be free so that those who wait find it free."""
    asked = min(bisect.bisect_right(_ASKED_AGAIN, seconds * 1000), len(_ASKED_AGAIN) - 1)
    return (_ASKED_AGAIN[asked] - _ASKED_AGAIN[asked - 1] + _LATE) / 1000


def finish(database: peewee.SqliteDatabase, work: Callable[[Pace], Iterator[int]]) -> int:
    """Do some work to its end and give the sum: in short transactions, or within the one that is open already."""
    if in_transaction(database):
        return sum(work(Pace(_OneTurn(), 2**63 - 1)))
    with without_automatic_checkpoints(database):
        return sum(work(Pace(Turns())))


def without_automatic_checkpoints(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Keep SQLite from copying the -wal to the file within a commit: it comes between the slices instead."""
    return pragma_set(database, "wal_autocheckpoint", 0)


def checkpoint(database: peewee.SqliteDatabase) -> None:
    """Copy the -wal to the file while others write, so that it begins again; wait a second for another checkpoint."""
    before = None
    for pause in _PAUSES:
        found = database.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if found == before:
            return  # all is copied, or what is not has a reader; one answer alone counts nothing that came meanwhile
        busy = found[0]
        before = None if busy else found
        time.sleep(pause if busy else 0)
    restart_wal(database, "RESTART")  # others write too fast


def restart_wal(database: peewee.SqliteDatabase, how: str) -> None:
    """Copy what is left of the -wal with the write lock held: RESTART or TRUNCATE it, unless it is in use just now."""
    with without_waiting(database):
        try:
            database.execute_sql(f"PRAGMA wal_checkpoint({how})").fetchall()
        except peewee.OperationalError as error:
            if not is_locked(error):
                raise


def truncate_wal(database: peewee.SqliteDatabase) -> None:
    """Empty the -wal file, as far as open readers let it, without waiting for them."""
    checkpoint(database)
    restart_wal(database, "TRUNCATE")
