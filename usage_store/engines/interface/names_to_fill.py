"""Find the tables and columns that a caller names to be filled, on every engine.

A name means what has exactly this name, or else the only one that differs in case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from usage_store.engines.interface.schema_objects import found
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    Fold = Callable[[str], str]  # makes names equal that mean the same


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Fillable(_Named, Protocol):
    """A table that can be filled, with its columns."""

    @property
    def columns(self) -> Mapping[str, _Named]:
        """The columns that can be given a value."""


T = TypeVar("T", bound=Fillable)


def wanted_tables(
    every: Mapping[str, T], tables: Collection[str] | None, leave: Collection[str], fold: Fold
) -> dict[str, T]:
    """Return the tables that `tables` names, or without it all but those that `leave` names, by their keys in `every`.

    Raises ConfigurationError for an unknown table.
    """
    if tables is None:
        left = {found(every, name, fold) for name in leave}
        return {key: table for key, table in every.items() if key not in left}
    wanted = {}
    for name in tables:
        key = found(every, name, fold)
        if key is None:
            raise ConfigurationError(f"there is no table {name!r} to fill; there are: {_names(every)}")
        wanted[key] = every[key]
    return wanted


def given_values(
    every: Mapping[str, Fillable], values: Mapping[str, Sequence[Any]], fold: Fold
) -> dict[str, dict[str, Sequence[Any]]]:
    """Return the values of `values`, which are by "table.column", by the key of the table and by the column.

    Raises ConfigurationError for an unknown table or column.
    """
    given: dict[str, dict[str, Sequence[Any]]] = {}
    for name, listed in values.items():
        table, column = _column(every, name, fold)
        given.setdefault(table, {})[column] = listed
    return given


def _column(every: Mapping[str, Fillable], name: str, fold: Fold) -> tuple[str, str]:
    """Split "table.column". The names themselves may contain dots."""
    parts = name.split(".")
    pairs = [(".".join(parts[:index]), ".".join(parts[index:])) for index in range(1, len(parts))]
    for said, column in pairs:
        table = found(every, said, fold)
        if table is not None:
            meant = found(every[table].columns, column, fold)
            if meant is not None:
                return table, meant
            raise ConfigurationError(
                f"values: {every[table].name} has no column {column!r} that can be given a value; there are: "
                f"{_names(every[table].columns)}"
            )
    if not pairs:
        raise ConfigurationError(f'values: {name!r} names no column; write "table.column"')
    raise ConfigurationError(f"values: there is no table {pairs[0][0]!r}; there are: {_names(every)}")


def _names(named: Mapping[str, _Named]) -> str:
    return ", ".join(each.name for each in named.values()) or "none"
