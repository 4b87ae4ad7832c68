"""Watch the migrations of one run, and find what each one did wrong: refused statements, lost data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.forbidden_statements import Guard
from usage_store.engines.postgresql.migrating.lock_and_settings import Alone
from usage_store.engines.postgresql.migrating.losses_outside import OutsideGuard
from usage_store.engines.postgresql.migrating.state_of_a_transaction import read_state, touched
from usage_store.engines.postgresql.migrating.watched.kept_schema import KeptSchema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

    from usage_store.engines.postgresql.catalogs.schema_hash import Fingerprint
    from usage_store.engines.postgresql.migrating.state_of_a_transaction import State

_SNAPSHOT = """
SELECT pg_snapshot_xmax(s)::text::bigint, ARRAY(SELECT x::text FROM pg_snapshot_xip(s) AS x)
FROM pg_current_snapshot() AS s
"""


class Watch:
    """Watch the migrations of one run. Each migration runs in a block of `inside()` or `outside()`.

    `inside()` is for a migration in the runner's transaction, `outside()` for one with `atomic = False`. `own` are the
    tables of the runner, which no migration may touch. The server keeps foreign keys, so none is ever newly broken.
    """

    violations: tuple[str, ...] = ()

    def __init__(
        self, database: peewee.PostgresqlDatabase, fingerprint: Fingerprint, alone: Alone | None = None
    ) -> None:
        self.own: Collection[str] = ()
        self._database = database
        self._fingerprint = fingerprint
        self._alone = alone or Alone()
        self._kept = KeptSchema(database)
        self._guard = Guard(database, (), self._kept)
        self._knows_changes = False
        self._start: State | None = None
        self._seen: tuple[int, list[str]] | None = None  # the newest transaction, and those that were still running

    @property
    def refused(self) -> str | None:
        """The first thing that was refused in the last block, or None."""
        return self._guard.refused

    @property
    def failed(self) -> BaseException | None:
        """The error that made the transaction of the last block useless, also if the migration went on, or None."""
        return self._guard.failed

    @property
    def left(self) -> tuple[str, ...]:
        """What the last `outside()` block left behind when it failed: invalid indexes and constraints."""
        return self._guard.left

    @property
    def knows_changes(self) -> bool:
        """Whether the fingerprint was told what the last block may have changed."""
        return self._knows_changes

    def look(self) -> None:
        """Remember which transactions have ended, and nothing of the schema that they may have changed. Reads only."""
        self._seen = tuple(self._database.execute_sql(_SNAPSHOT).fetchone())
        self._kept.forget()

    def others_wrote(self) -> bool:
        """Return whether another transaction of this server may have ended since `look()`. Reads only.

        Call it in the transaction of the migration: its state is the one that the block begins with. Raises
        DatabaseLocked if this session does not hold the migration lock.
        """
        self._start = read_state(self._database, self.own, self._alone.key)
        self._alone.require(self._start.pid, held=self._start.holds_lock)
        return self._seen != (self._start.newest, self._start.running)

    def remember(self) -> None:
        """Forget the migration before. What this one may lose is read when a statement may lose something."""
        self._knows_changes = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Refuse transaction control and settings of the session in the block, and remember what it may lose."""
        start, self._start = self._start, None
        self._guard = Guard(self._database, self.own, self._kept, start)
        with self._guard.watching():
            yield

    @contextmanager
    def outside(self, deletes: Collection[str], *, undoing: bool) -> Iterator[None]:
        """Refuse losses that `deletes` does not declare in the block, which runs in no transaction of the runner."""
        self._guard = OutsideGuard(self._database, self.own, deletes, self._kept, undoing=undoing)
        with self._guard.watching():
            yield

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Return the reasons why the transaction of the last `inside()` block must not be committed.

        Reasons are refused statements, and losses that are not declared. `undoing` is True for `down`. Settings that
        the migration changed for its transaction are put back.
        """
        fault = self._guard.fault()
        if fault is not None:
            return [fault]
        start, end = self._guard.start, self._guard.end
        changed = None if start is None or end is None else touched(start, end)
        relations = None if changed is None else changed.relations
        losses = self._guard.losses.find(deletes, drops, undoing=undoing, relations=relations)
        self._fingerprint.touched(changed)
        self._kept.touched(relations)
        self._knows_changes = changed is not None
        self._seen = None if start is None or end is None else _expected(start, end)
        return losses

    def faults_outside(self) -> list[str]:
        """Return the reasons why the last `outside()` block must not be recorded as applied. Reads only.

        Reasons are refused statements, and invalid indexes and constraints that the block left behind.
        """
        fault = self._guard.fault()
        return [] if fault is None else [fault]


def _expected(start: State, end: State) -> tuple[int, list[str]] | None:
    """Return what `look()` will find if the next transaction that ends is this one; None if it may be another."""
    if (start.newest, start.running) != (end.newest, end.running) or end.others_write or end.last is None:
        return None
    return end.last + 1, end.running
