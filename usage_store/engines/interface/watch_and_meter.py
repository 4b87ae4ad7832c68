"""The types of the objects that an engine makes for one run of migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from usage_store.engines.interface.schema_objects import Changes, SchemaObject


class Alone(Protocol):
    """Functions for a run that holds the migration lock."""

    @property
    def set_up(self) -> Callable[[], None]:
        """Set up the connection again, after a migration that changed its settings or connected anew."""

    @property
    def check_lock(self) -> Callable[[], None]:
        """Raise DatabaseLocked if another run may have started. Reads only."""


class SchemaHash(Protocol):
    """A hash of the whole schema, and the objects that were hashed."""

    @property
    def objects(self) -> Mapping[str, SchemaObject]:
        """The objects that the last `read()` found, by their keys."""

    @property
    def changes(self) -> Changes:
        """The difference of the objects between the last two calls of `read()`."""

    def read(self, *, partly: bool = False) -> str:
        """Return the hash of the schema as it is now. Reads only.

        `partly` is the caller's promise that since the last call only that was changed which the watch knows of.
        """


class Watch(Protocol):
    """Watch the migrations of one run. Each migration runs in a block of `inside()` or `outside()`."""

    own: Collection[str]  # the runner's tables: no migration may write to them, alter, drop or hide them

    @property
    def failed(self) -> BaseException | None:
        """The error that made the transaction of the last block useless, also if the migration went on, or None."""

    @property
    def left(self) -> tuple[str, ...]:
        """What the last `outside()` block left behind when it failed and must be mended before the next try."""

    @property
    def violations(self) -> tuple[str, ...]:
        """The broken foreign keys that `look()` found, one line per kind."""

    @property
    def refused(self) -> str | None:
        """The first thing that was refused in the last block, or None."""

    @property
    def knows_changes(self) -> bool:
        """Whether the fingerprint can follow the changes of the last block, and need not read everything."""

    def look(self) -> None:
        """Remember the state of the file, and which foreign keys are already broken. Reads only."""

    def others_wrote(self) -> bool:
        """Return whether another connection has written since `look()`. Reads only."""

    def remember(self) -> None:
        """Remember the tables and rows that the next migration could lose. Reads only.

        Call it in the transaction of the migration, before anything is written.
        """

    def inside(self) -> AbstractContextManager[None]:
        """Refuse forbidden statements in the block, and changes of the runner's own tables."""

    def outside(self, deletes: Collection[str], *, undoing: bool) -> AbstractContextManager[None]:
        """Do the same, and refuse losses that `deletes` does not declare.

        The block runs in no transaction of the runner.
        """

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Return the reasons why the last `inside()` block must not be committed. Reads only."""

    def faults_outside(self) -> list[str]:
        """Return the reasons why the last `outside()` block must not be recorded as applied. Reads only."""


class Meter(Protocol):
    """Measures the cost of steps on a whole copy."""

    def start(self) -> None:
        """Start the measurement of a step."""

    def read(self) -> tuple[int, int, int]:
        """Return rows written, bytes written, and these bytes plus the growth of the database. Reads only."""

    def rewrites(self) -> Mapping[str, int]:
        """Return the tables that the server has written anew since `start()`, with their bytes. Reads only."""
