"""Describe what a migration that is written from models does to a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild of a table with a new CREATE TABLE.

    `columns` gives SQL for new columns that must have a value in each row. `drop` names old columns whose values are
    lost.
    """

    table: str
    sql: str
    columns: Mapping[str, str]
    drop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Statements and rebuilds for `up` and `down`, in the order in which they run.

    `deletes` and `drops` name what `up` loses, in the form that a migration declares: columns with values as
    "table.column", and dropped objects. `todo` are lines about what a person has to write or to know. `differences`
    has one line for each way in which a table differs from its model.
    """

    up: tuple[str | Rebuild, ...] = ()
    down: tuple[str | Rebuild, ...] = ()
    deletes: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
