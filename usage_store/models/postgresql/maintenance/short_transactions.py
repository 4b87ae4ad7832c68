"""Divide long work into short transactions, between which others can write."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.pace import HOLD, OneTurn, Pace
from usage_store.engines.postgresql.connection.error_messages import is_locked
from usage_store.engines.postgresql.connection.write_transaction import in_transaction, write_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Work = Callable[[Pace], Iterator[int]]

# Only one connection maintains a store at a time, so two never wait for rows of each other. A server looks for
# deadlocks after a second by default; with a shorter limit it is this transaction that gives up, never one of the
# application. Deletions that a crash of the server takes back are done again, so no commit waits for the disk.
_SETTINGS = """
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '{}ms';
SET LOCAL synchronous_commit = off;
SELECT pg_advisory_xact_lock(hashtextextended('usage_store maintenance of ' || current_schema(), 0))
"""
_LONGEST_PAUSE = 0.1  # seconds
_PATIENCE = 5.0  # seconds: after so long a wait for locks, the error is raised
_LIMIT = "SELECT setting::bigint / 1000.0 FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'"
_PAUSE = 0.05  # seconds between two tries


class Turns:
    """Pace a long job: after each short transaction, pause for as long as it took.

    A slice is one short transaction. `hold` is the number of seconds that a slice should take. `last` and `longest` are
    the seconds that the last slice and the longest slice took.
    """

    hold = HOLD
    lock_timeout = 500  # milliseconds

    def __init__(self) -> None:
        self.last = self.longest = 0.0

    @contextmanager
    def slice(self, database: peewee.PostgresqlDatabase) -> Iterator[None]:
        """Run the block in a write transaction, and measure how long it takes, without the wait for its turn."""
        self._wait()
        with write_transaction(database):
            database.execute_sql(_SETTINGS.format(self.lock_timeout))
            began = time.monotonic()
            yield
        self.last = time.monotonic() - began
        self.longest = max(self.longest, self.last)

    def _wait(self) -> None:
        time.sleep(min(self.last, _LONGEST_PAUSE))


class PassingTurns(Turns):
    """Pace a job that runs inside another call of the application: short slices, and hardly any waiting."""

    hold = HOLD / 3
    lock_timeout = 1  # the least that the server takes

    def _wait(self) -> None:
        pass


def finish(database: peewee.PostgresqlDatabase, work: Work) -> int:
    """Do a job to its end and return the sum of its results.

    The job runs in short transactions. If a transaction is already open, all of the job runs in that one. Raises the
    error if others hold a lock for longer than this connection waits (`lock_timeout`), or for five seconds.
    """
    if in_transaction(database):
        return sum(work(Pace(OneTurn(), 2**31 - 1)))
    limit = float(database.execute_sql(_LIMIT).fetchone()[0])
    return sum(patiently(work, Pace(Turns()), limit))


def patiently(work: Work, pace: Pace, limit: float = 0) -> Iterator[int]:
    """Do a job, and begin again with what is left of it if others hold a lock.

    Raises the error if they hold one for longer than `limit` (seconds), or without it for five seconds.
    """
    since: float | None = None
    while True:
        try:
            for number in work(pace):
                yield number
                since = None if number else since  # a transaction that did nothing is no progress
        except peewee.DatabaseError as error:
            since = time.monotonic() if since is None else since
            if not is_locked(error) or time.monotonic() - since >= (limit or _PATIENCE):
                raise
            time.sleep(_PAUSE)
        else:
            return
