"""Watch the migrations of one run, and find what each one did wrong: refused statements, broken keys, lost data."""

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

    from usage_store.engines.interface.watch_and_meter import Alone
    from usage_store.engines.sqlite.file.schema_hash import Fingerprint


class Watch:
    """Watch the migrations of one run. Each migration runs in a block of `inside()` or `outside()`.

    `inside()` is for a migration in the runner's transaction, `outside()` for one with `atomic = False`. `own` are the
    tables of the runner, which no migration may touch. The fingerprint knows the schema as it was before each
    migration.
    """

    def __init__(self, database: peewee.SqliteDatabase, fingerprint: Fingerprint, alone: Alone | None = None) -> None:
        del alone  # whose `check_lock` the runner calls
        self.own: Collection[str] = ()
        self.failed: BaseException | None = None  # SQLite goes on after a statement that failed
        self.left: tuple[str, ...] = ()  # a statement of SQLite leaves nothing behind when it fails
        self._database = database
        self._fingerprint = fingerprint
        self._missing: set[str] | None = None  # the tables of `own` that do not exist yet
        self._guard = Guard()
        self._only_added = False
        self._losses: Losses | None = None
        self._violations: Counter[str] = Counter()
        self._seen: int | None = None

    @property
    def violations(self) -> tuple[str, ...]:
        """The broken foreign keys that `look()` found, one line per kind."""
        return tuple(self._violations)

    @property
    def refused(self) -> str | None:
        """The first thing that was refused in the last block, or None."""
        return self._guard.refused

    @property
    def knows_changes(self) -> bool:
        """Whether the last block left alone everything that existed before: no writes, no DROP, no ALTER."""
        return self._only_added

    def look(self) -> None:
        """Remember the state of the file, and which foreign keys are already broken. Reads only."""
        self._seen = self._data_version()  # first, so that a write during the check is noticed later
        self._violations = violations(self._database)

    def others_wrote(self) -> bool:
        """Return whether another connection has written since `look()`. Reads only."""
        return self._seen != self._data_version()

    def remember(self) -> None:
        """Remember the tables and rows that the next migration could lose. Reads only.

        Call it in the transaction of the migration, before anything is written.
        """
        if self._losses is None:
            self._losses = Losses(self._database)
        self._losses.start()
        if self._missing is None or self._missing:
            self._missing = set(map(fold, self.own)) - set(map(fold, self._fingerprint.names()))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Refuse transaction control, ATTACH and unsafe pragmas in the block, and note which tables it changes."""
        self._guard = Guard(self.own)
        with self._guard.watching(self._database.connection()):
            yield

    @contextmanager
    def outside(self, deletes: Collection[str], *, undoing: bool) -> Iterator[None]:
        """Refuse losses that `deletes` does not declare in the block, which runs in no transaction of the runner."""
        connection = self._database.connection()
        there = read_schema(connection)
        self._missing = set(map(fold, self.own)) - there.objects.keys()
        self._guard = OutsideGuard(self.own, there, deletes, undoing=undoing)
        with self._guard.watching(connection):
            yield

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Return the reasons why the transaction of the last `inside()` block must not be committed. Reads only.

        Reasons are refused statements, newly broken foreign keys, and losses that are not declared. `undoing` is True
        for `down`.
        """
        self._only_added = False
        if self.refused or not self._database.connection().in_transaction:
            return [self.refused or ROLLED_BACK]
        if self._guard.only_added:
            added = self._fingerprint.added()
            if self._guard.written <= {fold(name) for _, name, _, _ in added}:  # otherwise a CREATE said IF NOT EXISTS
                self._only_added = True
                return self._new_in(name for _, name, _, sql in added if sql and "REFERENCES" in sql.upper())
        broken = self._renamed_to_own() or self._new_violations()
        if broken or self._losses is None:
            return broken
        return self._losses.find(self._guard, deletes, drops, undoing=undoing)

    def faults_outside(self) -> list[str]:
        """Return the reasons why the last `outside()` block must not be recorded as applied. Reads only.

        Reasons are refused statements and newly broken foreign keys.
        """
        return [self.refused] if self.refused else self._renamed_to_own() or self._new_violations()

    def _renamed_to_own(self) -> list[str]:
        if not self._guard.altered:
            return []
        taken = {fold(name) for name in hidden(self._database, self.own)}
        if self._missing:
            taken |= self._missing & read_schema(self._database.connection()).objects.keys()
        return [
            f"a table was renamed to {name}, the name of the runner's own table; choose another name"
            for name in sorted(taken)
        ]

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
