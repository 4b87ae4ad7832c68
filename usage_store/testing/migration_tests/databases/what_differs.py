"""Say which rows of a table differ between two databases."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from usage_store.engines import engine_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

_MOST = 3  # rows that are shown of a table
_MOST_LETTERS = 60  # of a value


def different_rows(before: peewee.Database, after: peewee.Database, table: str) -> Iterator[str]:
    """Yield one line for each row that differs, for at most three rows, and one line for the others. Reads only."""
    lines = list(_lines(_rows(before, table), _rows(after, table), _key(before, table)))
    yield from lines[:_MOST]
    if lines[_MOST:]:
        yield f"and {len(lines) - _MOST} more"


def other_columns_differ(before: peewee.Database, after: peewee.Database, table: str, lost: Collection[str]) -> bool:
    """Return whether the rows of a table differ in other columns than the lost ones (lower case). Reads only."""
    one, other = (_without(_rows(database, table), lost) for database in (before, after))
    return one != other


def _without(rows: Iterable[dict[str, Any]], lost: Collection[str]) -> Counter[str]:
    return Counter(
        _shown_row({name: row[name] for name in sorted(row) if name.lower() not in lost}, most=sys.maxsize)
        for row in rows
    )


def _lines(before: list[dict[str, Any]], after: list[dict[str, Any]], key: tuple[str, ...]) -> Iterator[str]:
    old, new = ({_name(row, key): row for row in rows} for rows in (before, after))
    if not key or len(old) < len(before) or len(new) < len(after):
        gone = Counter(map(_shown_row, before)) - Counter(map(_shown_row, after))
        more = Counter(map(_shown_row, after)) - Counter(map(_shown_row, before))
        yield from (f"gone: {row}" for row in gone)
        yield from (f"new: {row}" for row in more)
        return
    for name, row in old.items():
        if name not in new:
            yield f"the row {name} is gone"
            continue
        for column, value in row.items():
            if column in new[name] and repr(new[name][column]) != repr(value):
                yield f"in the row {name}, {column} was {_shown(value)} and is {_shown(new[name][column])}"
    yield from (f"the row {name} is new" for name in new if name not in old)


def _name(row: dict[str, Any], key: tuple[str, ...]) -> str:
    return ", ".join(f"{column} {_shown(row.get(column))}" for column in key)


def _shown_row(row: dict[str, Any], most: int = _MOST_LETTERS) -> str:
    return ", ".join(f"{column} {_shown(value, most)}" for column, value in row.items())


def _shown(value: Any, most: int = _MOST_LETTERS) -> str:
    text = "NULL" if value is None else repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def _rows(database: peewee.Database, table: str) -> list[dict[str, Any]]:
    return engine_of(database).copies.read_rows(database, table)


def _key(database: peewee.Database, table: str) -> tuple[str, ...]:
    return tuple(database.get_primary_keys(table))
