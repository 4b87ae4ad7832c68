"""What the migrations of one run did: refused, broken or lost."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.file.list_tables import hidden
from usage_store.engines.sqlite.migrating.forbidden_statements import ROLLED_BACK, Guard
from usage_store.engines.sqlite.migrating.losses_outside import OutsideGuard
from usage_store.engines.sqlite.migrating.lost_rows import Losses
from usage_store.engines.sqlite.migrating.objects_of_a_schema import read_schema
from usage_store.engines.sqlite.schema.sql_tokens import fold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

    from usage_store.engines.sqlite.file.schema_hash import Fingerprint


class Watch:
    """Watch the migrations of one run, each in its block of `inside()` or `outside()`.

    `own` are the tables of the runner, which no migration may touch. The fingerprint knows the schema as it is before
    each migration.
    """

    def __init__(self, database: peewee.SqliteDatabase, fingerprint: Fingerprint) -> None:
        self.own: Collection[str] = ()
        self._database = database
        self._fingerprint = fingerprint
        self._missing: set[str] | None = None  # those of `own` that are not there yet
        self._guard = Guard()
        self._only_added = False
        self._losses: Losses | None = None
        self._violations: Counter[str] = Counter()
        self._seen: int | None = None

    @property
    def violations(self) -> tuple[str, ...]:
        """The violations of foreign keys that `look()` found, a line a kind."""
        return tuple(self._violations)

    @property
    def refused(self) -> str | None:
        """What was refused first in the last block."""
        return self._guard.refused

    @property
    def only_added(self) -> bool:
        """Whether nothing that was there was written to, dropped or altered in the last block."""
        return self._only_added

    def look(self) -> None:
        """Remember what others have written, and which foreign keys are violated already. Reads only."""
        self._seen = self._data_version()  # first: what is written meanwhile shows up later
        self._violations = violations(self._database)

    def others_wrote(self) -> bool:
        """Tell whether anybody else wrote since `look()`. Reads only."""
        return self._seen != self._data_version()

    def remember(self) -> None:
        """Remember what there is to lose, within a migration's transaction that has written nothing yet. Reads only."""
        if self._losses is None:
            self._losses = Losses(self._database)
        self._losses.start()
        if self._missing is None or self._missing:
            self._missing = set(map(fold, self.own)) - set(map(fold, self._fingerprint.names()))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Refuse transaction control, ATTACH and unsafe pragmas within the block, and note what it touches."""
        self._guard = Guard(self.own)
        with self._guard.watching(self._database.connection()):
            yield

    @contextmanager
    def outside(self, deletes: Collection[str], *, undoing: bool) -> Iterator[None]:
        """Refuse undeclared losses within the block, which runs in no transaction of ours."""
        connection = self._database.connection()
        there = read_schema(connection)
        self._missing = set(map(fold, self.own)) - there.objects.keys()
        self._guard = OutsideGuard(self.own, there, deletes, undoing=undoing)
        with self._guard.watching(connection):
            yield

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Name why what was done inside must not be committed: refused, broken or undeclared losses. Reads only."""
        self._only_added = False
        if self.refused or not self._database.connection().in_transaction:
            return [self.refused or ROLLED_BACK]
        if self._guard.only_added:
            added = self._fingerprint.added()
            if self._guard.written <= {fold(name) for _, name, _, _ in added}:  # else some CREATE said IF NOT EXISTS
                self._only_added = True
                return self._new_in(name for _, name, _, sql in added if sql and "REFERENCES" in sql.upper())
        broken = self._renamed_to_own() or self._new_violations()
        if broken or self._losses is None:
            return broken
        return self._losses.find(self._guard, deletes, drops, undoing=undoing)

    def faults_outside(self) -> list[str]:
        """Name why what was done outside must not be recorded: refused or broken. Reads only."""
        return [self.refused] if self.refused else self._renamed_to_own() or self._new_violations()

    def _renamed_to_own(self) -> list[str]:
        if not self._guard.altered:
            return []
        taken = {fold(name) for name in hidden(self._database, self.own)}
        if self._missing:
            taken |= self._missing & read_schema(self._database.connection()).objects.keys()
        return [f"a table was renamed to {name}, which is the runner's own" for name in sorted(taken)]

    def _new_violations(self) -> list[str]:
        found = violations(self._database)
        new, self._violations = found - self._violations, found
        return _lines(new)

    def _new_in(self, tables: Iterable[str]) -> list[str]:
        new = Counter[str]()
        for table in tables:
            new += violations(self._database, table)
        if new:
            self._violations += new
        return _lines(new)

    def _data_version(self) -> int:
        version: int = self._database.connection().execute("PRAGMA data_version").fetchone()[0]
        return version


def _lines(found: Counter[str]) -> list[str]:
    return [f"{line} ({count})" for line, count in found.items()]
