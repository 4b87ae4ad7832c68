"""Watch the migrations of one run, and find what each one did wrong: refused statements, lost data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.forbidden_statements import Guard
from usage_store.engines.postgresql.migrating.losses_outside import OutsideGuard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

    from usage_store.engines.interface.watch_and_meter import SchemaHash

_SNAPSHOT = """
SELECT pg_snapshot_xmax(s)::text::bigint, ARRAY(SELECT x::text FROM pg_snapshot_xip(s) AS x),
  pg_current_xact_id_if_assigned()::text::bigint
FROM pg_current_snapshot() AS s
"""


class Watch:
    """Watch the migrations of one run. Each migration runs in a block of `inside()` or `outside()`.

    `inside()` is for a migration in the runner's transaction, `outside()` for one with `atomic = False`. `own` are the
    tables of the runner, which no migration may touch. The server keeps foreign keys, so none is ever newly broken.
    """

    violations: tuple[str, ...] = ()

    def __init__(self, database: peewee.PostgresqlDatabase, fingerprint: SchemaHash) -> None:
        del fingerprint
        self.own: Collection[str] = ()
        self._database = database
        self._guard = Guard(database, ())
        self._only_added = False
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
    def only_added(self) -> bool:
        """Whether the last block left alone everything that existed before: only CREATE statements ran."""
        return self._only_added

    def look(self) -> None:
        """Remember which transactions have ended. Reads only."""
        newest, running, _ = self._database.execute_sql(_SNAPSHOT).fetchone()
        self._seen = newest, running

    def others_wrote(self) -> bool:
        """Return whether another transaction of this server may have ended since `look()`. Reads only."""
        newest, running, _ = self._database.execute_sql(_SNAPSHOT).fetchone()
        return self._seen != (newest, running)

    def remember(self) -> None:
        """Forget the migration before. What this one may lose is read when a statement may lose something."""
        self._only_added = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Refuse transaction control and settings of the session in the block, and remember what it may lose."""
        self._guard = Guard(self._database, self.own)
        with self._guard.watching():
            yield

    @contextmanager
    def outside(self, deletes: Collection[str], *, undoing: bool) -> Iterator[None]:
        """Refuse losses that `deletes` does not declare in the block, which runs in no transaction of the runner."""
        self._guard = OutsideGuard(self._database, self.own, deletes, undoing=undoing)
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
        losses = self._guard.losses.find(deletes, drops, undoing=undoing)
        self._only_added = self._guard.only_created
        self._expect_own_transaction()
        return losses

    def _expect_own_transaction(self) -> None:
        """Expect that the next transaction that ends is this one, so that it does not count as another's."""
        newest, running, own = self._database.execute_sql(_SNAPSHOT).fetchone()
        self._seen = (own + 1, running) if self._seen == (newest, running) and own == newest else None

    def faults_outside(self) -> list[str]:
        """Return the reasons why the last `outside()` block must not be recorded as applied. Reads only.

        Reasons are refused statements, and invalid indexes and constraints that the block left behind.
        """
        fault = self._guard.fault()
        return [] if fault is None else [fault]
