"""Maintenance after inserts, one transaction at a time. The options of init_database() turn it on."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import driver_errors, engine_of, unwrap
from usage_store.errors import UsageStoreError
from usage_store.models.fields.retention_limits import checked_goals
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.models.fields.retention_limits import Goals
    from usage_store.models.storage_rooms import Maintenance, Steps

logger = logging.getLogger("usage_store")

_PAUSE = 0.2  # seconds before the next transaction, if there is more to do
_INTERVAL = 5.0  # seconds before the next check, if there is nothing to do
_PATIENCE = 600.0  # seconds: after so long a wait for the lock, one line is logged; also between two equal log lines
_DAY = 86_400


class Upkeep:
    """Called after inserts: prunes, compacts, evicts or frees pages in one transaction, at most five times a second.

    The call waits for no lock and does not sleep. The insert is committed before the call, so an error is only logged,
    and the work is tried again later. Nothing is done inside a transaction of the host, or while the models are bound
    to another database. If the stored times have a long gap, as after a wrong clock, no snapshot is deleted because of
    its age for an hour.
    """

    def __init__(
        self,
        database: peewee.Database | peewee.DatabaseProxy,
        retention_days: float | None,
        max_bytes: int | None,
        compact_after_days: float | None = 7,
    ) -> None:
        self._database = database
        self._wanted = (retention_days, max_bytes, compact_after_days)
        checked_goals(*self._wanted)
        self._inner: peewee.Database | None = None  # the database of the steps
        self._steps: Steps
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._slices: Iterator[tuple[str, int]] | None = None
        self._holds_back = False
        self._due = 0.0
        self._put_off_since: float | None = None
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __call__(self, database: peewee.Database) -> None:
        """Do one transaction, if it is time for one and the lock is free."""
        if time.monotonic() < self._due:
            return
        if self._process != os.getpid():
            self._begin_anew()  # in a forked child, the lock may be held by a thread that the child does not have
        if not self._lock.acquire(blocking=False):
            return
        try:
            inner: peewee.Database = unwrap(self._database)
            if inner is database and not engine_of(inner).in_transaction(inner):
                more = self._step(storage_of(inner).maintenance, inner)
                self._put_off_since, self._due = None, time.monotonic() + (_PAUSE if more else _INTERVAL)
        except driver_errors(UsageStoreError, peewee.PeeweeException) as error:
            self._slices = None
            if engine_of(database).is_locked(error):
                self._put_off()
            else:
                self._due = time.monotonic() + _INTERVAL
                self._tell(f"maintenance is postponed: {error}")
        finally:
            self._lock.release()

    def _step(self, maintenance: Maintenance[Any], database: peewee.Database) -> bool:
        """Do one transaction, and return whether there may be more to do."""
        if self._inner is not database:
            self._inner, self._steps, self._slices = database, maintenance.Steps(database, passing=True), None
        with maintenance.without_waiting(database):
            if self._slices is None:
                maintenance.require_blocks(database)
                self._slices = self._steps.in_passing(self._goals(maintenance, database))
            if next(self._slices, None) is None:
                self._slices = None
        return self._slices is not None

    def _goals(self, maintenance: Maintenance[Any], database: peewee.Database) -> Goals:
        """Return the goals, without a goal that is out of reach or must wait now."""
        goals = checked_goals(*self._wanted)
        retention_days = self._wanted[0]
        step = None if retention_days is None else maintenance.step_in_times(database, retention_days * _DAY)
        if step is not None:
            if not self._holds_back:
                logger.warning("no snapshot is deleted because of its age until an hour after the gap: %s", step)
            goals = goals._replace(prune_before=None)
        self._holds_back = step is not None
        size = maintenance.unreachable(database, goals)
        if size is not None:
            self._tell(f"max_bytes cannot be reached: even without any snapshot, more than {size:,} bytes are in use")
            goals = goals._replace(max_bytes=None)
        return goals

    def _put_off(self) -> None:
        now = time.monotonic()
        self._due = now + _PAUSE
        if self._put_off_since is None:
            self._put_off_since = now
        elif now - self._put_off_since >= _PATIENCE:
            self._tell("maintenance is postponed: for ten minutes, the database was locked at every attempt")

    def _tell(self, line: str) -> None:
        """Log a line, unless it was logged within the last ten minutes."""
        now = time.monotonic()
        self._told = {said: when for said, when in self._told.items() if now - when < _PATIENCE}
        if line not in self._told:
            self._told[line] = now
            logger.warning("%s", line)
