"""What an engine makes for one run of migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from usage_store.engines.interface.schema_objects import Changes, SchemaObject


class Alone(Protocol):
    """What a run asks for while it is alone."""

    @property
    def set_up(self) -> Callable[[], None]:
        """Set the connection up again, after a migration that set its own or connected anew."""

    @property
    def check_lock(self) -> Callable[[], None]:
        """Raise MigrationLocked if another run may have begun. Reads only."""


class SchemaHash(Protocol):
    """A hash of the whole schema, and the objects behind it."""

    @property
    def objects(self) -> Mapping[str, SchemaObject]:
        """The objects by their keys, as `read()` found them last."""

    @property
    def changes(self) -> Changes:
        """What became of them between the last two calls of `read()`."""

    def read(self, *, only_added: bool = False) -> str:
        """Give it; `only_added` promises that since the last call objects were only made. Reads only."""


class Watch(Protocol):
    """What the migrations of one run did, each in its block of `inside()` or `outside()`."""

    own: Collection[str]  # the runner's tables, which no migration may write to, alter, drop or hide

    @property
    def violations(self) -> tuple[str, ...]:
        """The violations of foreign keys that `look()` found, a line a kind."""

    @property
    def refused(self) -> str | None:
        """What was refused first in the last block."""

    @property
    def only_added(self) -> bool:
        """Whether nothing that was there was written to, dropped or altered in the last block."""

    def look(self) -> None:
        """Remember what others have written, and which foreign keys are violated already. Reads only."""

    def others_wrote(self) -> bool:
        """Tell whether anybody else wrote since `look()`. Reads only."""

    def remember(self) -> None:
        """Remember what there is to lose, in a migration's transaction that has written nothing yet. Reads only."""

    def inside(self) -> AbstractContextManager[None]:
        """Refuse what no migration may do within the block, and what touches the runner's own tables."""

    def outside(self, deletes: Collection[str], *, undoing: bool) -> AbstractContextManager[None]:
        """Refuse within the block, which is in no transaction of ours, losses that are not declared; as `inside()`."""

    def faults(self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Name why what was done inside must not be committed: refused, broken or undeclared losses. Reads only."""

    def faults_outside(self) -> list[str]:
        """Name why what was done outside must not be recorded: refused or broken. Reads only."""


class Meter(Protocol):
    """What steps cost on a whole copy."""

    def start(self) -> None:
        """Begin with a step."""

    def read(self) -> tuple[int, int, int]:
        """Give its cost: rows written, bytes written, and those with what the database grew. Reads only."""
