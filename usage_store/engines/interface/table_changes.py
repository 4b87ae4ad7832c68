"""What a migration written from models does to a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A table made anew from its CREATE TABLE.

    `columns` has SQL for the new columns that rows need a value in, `drop` names the old ones whose values go.
    """

    table: str
    sql: str
    columns: Mapping[str, str]
    drop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Statements and rebuilds in the order to run them, up and down.

    `deletes` and `drops` name what is lost on the way up, as a migration declares it: "table.column" whose values go,
    and objects that vanish. `todo` says what a person has to write or to know.
    """

    up: tuple[str | Rebuild, ...] = ()
    down: tuple[str | Rebuild, ...] = ()
    deletes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
