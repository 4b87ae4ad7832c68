"""Copy a store of usage snapshots to another database, and go on with a copy that was stopped."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.copy_store.compare_stores import SessionHash, Sums, compared
from usage_store.copy_store.rows_that_fit import unfit, unfit_rows
from usage_store.copy_store.same_copy import first_id, missing_ids, refuse_other_sessions
from usage_store.copy_store.store import BEFORE_ALL, CONFIGURATION, Store
from usage_store.copy_store.write_rows import Part, written
from usage_store.engines import connected, name_of, open_database
from usage_store.errors import ConfigurationError
from usage_store.migrate_usage_tables import migrate, refuse_pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

    Given = str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy
    Progress = Callable[[str, int, int], object]

_ROWS, _CHARACTERS = 2000, 8 * 2**20  # of a transaction; it ends with the row that reaches one of the two


@dataclass(frozen=True, slots=True)
class Copied:
    """The result of a copy.

    `copied` is how many snapshots this call has written, `sessions` are those of the source. `refused` has one line for
    each row that the target cannot hold; then nothing was written. `differences` has one line for each difference.
    """

    configurations: int
    snapshots: int
    copied: int
    sessions: tuple[SessionHash, ...]
    refused: tuple[str, ...]
    differences: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the two stores are the same."""
        return not self.refused and not self.differences


def copy_store(
    source: Given,
    target: Given,
    *,
    resume: bool = False,
    verify: bool = False,
    wait: float = 30,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> Copied:
    """Copy configurations, sessions and snapshots with their ids and times, and compare the two stores.

    Each is a path, a URL or a Peewee database of either engine. The source is only read, and others may write to both
    meanwhile. Compacted snapshots are copied as plain texts. The snapshots are written in short transactions. A copy
    that was stopped goes on with `resume`. With `verify`, nothing is written. `wait` is the number of seconds to wait
    for the migration lock of the target.

    Raises MigrationsPending for a source whose tables are not up to date. Raises ConfigurationError for a target that
    is not empty; with `resume`, for a target with rows that the source does not have.
    """
    started = time.perf_counter()
    if name_of(source) == name_of(target):
        raise ConfigurationError(f"{name_of(source)}: source and target are the same database")
    with ExitStack() as stack:
        one = stack.enter_context(_opened(source, readonly=True))
        refuse_pending(one.database)
        other = stack.enter_context(_opened(target, readonly=verify))
        copied, sums, refused = 0, None, tuple[str, ...]()
        if verify:
            refuse_pending(other.database)
        else:
            copied, sums, refused = _Copy(one, other, on_progress).run(wait, resume=resume)
        sessions, lines = ((), ()) if refused else compared(one, other, on_progress, sums)
        total = sum(session.snapshots for session in sessions)
        seconds = time.perf_counter() - started
        return Copied(len(one.configurations()), total, copied, sessions, refused, lines, seconds)


@contextmanager
def _opened(given: Given, *, readonly: bool) -> Iterator[Store]:
    if isinstance(given, str | os.PathLike):
        with closing(open_database(given, readonly=readonly)) as database:
            yield Store(database, ours=True)
    else:
        store = Store(given)
        with connected(store.database):
            yield store


class _Copy:
    """A copy of one store to another."""

    def __init__(self, source: Store, target: Store, on_progress: Progress) -> None:
        self.source, self.target, self.on_progress = source, target, on_progress
        self._sessions: dict[str, int] = {}  # those that are in the target
        self._checked = BEFORE_ALL  # up to this id, the rows are known to fit
        self._done = self._total = 0
        self._sums = Sums(), Sums()  # of the rows as they were read from the source, and from the target

    def run(self, wait: float, *, resume: bool) -> tuple[int, tuple[Sums, Sums] | None, tuple[str, ...]]:
        """Copy all rows that the target lacks.

        Returns their number, the sums of source and target if all rows were copied, and a line for each row that does
        not fit.
        """
        last = first_id(self.target, resume=resume)
        refuse_other_sessions(self.source, self.target)
        missing = missing_ids(self.source, self.target)
        after = min(missing) - 1 if missing else last
        refused = tuple(unfit_rows(self.source, self.target, after, self.on_progress))
        if refused:
            return 0, None, refused
        self._total, self._checked = self.source.count(last)
        self._total += len(missing)
        migrate(self.target.database, wait, follow_events=True)
        self._raise_ids()  # before, so that nobody who writes to the target meanwhile gets an id of the source
        self._put_sessions()
        self.target.rows.put_configurations(self.target.database, CONFIGURATION, self.source.configurations())
        if missing:  # they became visible in the source only after later ones were copied, or a killed copy lacks them
            found = self.source.snapshots(after, max(missing))
            self._put_snapshots(after, (row for row in found if row[0] in missing))
        self._put_snapshots(last, self.source.snapshots(last))
        self._raise_ids()
        return self._done, self._sums if last == BEFORE_ALL else None, ()

    def _raise_ids(self) -> None:
        for table, highest in self.source.last_ids().items():
            self.target.rows.raise_ids(self.target.database, table, highest)

    def _put_sessions(self) -> None:
        self._sessions = self.source.sessions()
        self.target.rows.put_sessions(self.target.database, self._sessions)

    def _put_snapshots(self, after: int, rows: Iterator[tuple[Any, ...]]) -> None:
        for part in written(self.target, self._parts(after, rows), self.target.threads):
            for sums, hashes in zip(self._sums, part, strict=True):
                sums.add(hashes)
            self._done += len(part.source)
            self.on_progress("snapshots copied", self._done, max(self._total, self._done))

    def _parts(self, after: int, rows: Iterator[tuple[Any, ...]]) -> Iterator[Part]:
        part: list[tuple[Any, ...]] = []
        size = 0
        for row in rows:
            part.append(row)
            size += len(row[2])
            if len(part) == _ROWS or size >= _CHARACTERS:
                yield self._fitting(after, part)
                after, part, size = row[0], [], 0
        if part:
            yield self._fitting(after, part)

    def _fitting(self, after: int, rows: list[tuple[Any, ...]]) -> Part:
        """Return the rows as a part, with their sessions in the target. Raises ConfigurationError if one does not fit.

        Only rows that came during the copy have to be checked.
        """
        if any(row[1] not in self._sessions for row in rows):
            self._put_sessions()
        for row in rows:
            why = unfit(self.target, row, self._sessions) if row[0] > self._checked else None
            if why is not None:
                raise ConfigurationError(f"snapshot {row[0]} came during the copy; the target cannot hold it: {why}")
        return Part(after, rows)
