"""Write and read the rows of tables as JSON Lines: a line with the format, each row, and a line with their number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

Row = tuple[str, str, dict[str, Any]]  # where it is in the file, its table, its columns


def written(number: int, tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the lines of a file of a format. Each row is `{"table": {"column": value}}`."""
    yield _line({"format": number})
    count = 0
    for table, rows in tables.items():
        for row in rows:
            yield _line({table: row})
            count += 1
    yield _line({"rows": count})


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value) + "\n"


def read(path: str | os.PathLike[str], number: int, tables: Mapping[str, AbstractSet[str]]) -> Iterator[Row]:
    """Yield the rows of a file. `tables` has the allowed columns of each table.

    Raises ConfigurationError at the first line that is wrong, and at the end if lines are missing.
    """
    lines = _parsed(path)
    if next(lines, ("", None))[1] != {"format": number}:
        raise ConfigurationError(f"{path}: line 1: not a file of dump_usage(): its format is not {number}")
    count, end, place = 0, None, "line 1"
    for place, value in lines:
        if end is not None:
            raise ConfigurationError(f"{path}: {place}: nothing may follow the number of rows")
        if value.keys() == {"rows"}:
            end = value["rows"]
        else:
            yield place, *_row(f"{path}: {place}", value, tables)
            count += 1
    if end is None:
        raise ConfigurationError(f"{path}: {place} is not the number of rows: the file was cut")
    if end != count:
        raise ConfigurationError(f"{path}: {place}: there should be {end} rows, but there are {count}")


def _parsed(path: str | os.PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                raise ConfigurationError(f"{path}: line {number}: not JSON ({error})") from None
            if not isinstance(value, dict):
                raise ConfigurationError(f"{path}: line {number}: not a JSON object")
            yield f"line {number}", value


def _row(place: str, value: dict[str, Any], tables: Mapping[str, AbstractSet[str]]) -> tuple[str, dict[str, Any]]:
    if len(value) != 1 or not value.keys() <= tables.keys():
        raise ConfigurationError(f"{place}: not a row of {', '.join(tables)}")
    ((table, row),) = value.items()
    if not isinstance(row, dict) or not row.keys() <= tables[table]:
        raise ConfigurationError(f"{place}: {table} has the columns {', '.join(tables[table])}")
    return table, row
