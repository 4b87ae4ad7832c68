"""Maintenance between inserts, a transaction at a time, where init_database() was asked for it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from itertools import chain
from typing import TYPE_CHECKING

import peewee

from usage_store.connection import unwrap
from usage_store.errors import UsageStoreError
from usage_store.goals import checked_goals
from usage_store.maintenance import Work, require_blocks
from usage_store.pacing import in_transaction, without_automatic_checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Upkeep"]

logger = logging.getLogger("usage_store")

_PAUSE = 0.2  # seconds to the next transaction while there is more to do
_INTERVAL = 5.0  # seconds between two looks while there is nothing to do


class Upkeep:
    """Called after inserts: a transaction of pruning, compacting, evicting or giving back, five times a second at most.

    What goes wrong is logged and tried again later; the insert has been committed by then. Inside a transaction of
    the host, and in another database that the models are bound to for a while, nothing is done.
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
        self._slices: Iterator[tuple[str, int]] | None = None
        self._due = 0.0
        self._lock = threading.Lock()

    def __call__(self, database: peewee.Database) -> None:
        """Do one transaction, if one is due."""
        if time.monotonic() < self._due or not self._lock.acquire(blocking=False):
            return
        try:
            inner = unwrap(self._database)
            if inner is database and not in_transaction(inner):
                self._due = time.monotonic() + (_PAUSE if self._step(inner) else _INTERVAL)
        except (UsageStoreError, peewee.PeeweeException, sqlite3.Error) as error:
            logger.warning("maintenance is put off: %s", error)
            self._slices, self._due = None, time.monotonic() + _INTERVAL
        finally:
            self._lock.release()

    def _step(self, database: peewee.SqliteDatabase) -> bool:
        """Tell whether there may be more to do."""
        if self._slices is None:
            require_blocks(database)
            work = Work(database, checked_goals(*self._wanted))
            self._slices = chain(work.on_rows(), work.on_pages())
        with without_automatic_checkpoints(database):
            if next(self._slices, None) is None:
                self._slices = None
        return self._slices is not None
