"""What SQLite's own checks find: damage, and rows without the rows that they refer to.

A connection without an application's functions and collations cannot check the tables that use them, which is no
damage: the others are checked then, and `on_unchecked` is told a line for each that is not.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.connection.lacking_functions import HINT, is_lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

logger = logging.getLogger("usage_store.migrate")

_NULL = "NULL value in "
_NOT_LOOKED_AT = "unable to validate the inverted index for "
_READ_ONLY = ": attempt to write a readonly database"
_FULL_TEXT = "malformed inverted index for FTS"  # 3.44 and newer look at it
_ALL = 2**31 - 1  # lines


def damage(
    database: peewee.SqliteDatabase,
    *,
    full: bool = False,
    most: int = 1,
    on_unchecked: Callable[[str], object] = logger.warning,
) -> list[str]:
    """Give what quick_check finds, or with `full` integrity_check: a line each, so many at most. Reads only."""
    check = f"PRAGMA main.{'integrity' if full else 'quick'}_check"
    beside: list[str] = []
    try:
        lines = list(_lines(database, f"{check}({most})"))
        real = list(_real(database, lines, beside))
        if len(real) < len(lines):  # the others had no room
            beside.clear()
            with closing(_lines(database, f"{check}({_ALL})")) as every:
                real = list(islice(_real(database, every, beside), most))
    except driver_errors(peewee.DatabaseError) as error:
        if not is_lacking(error):
            raise
        real = list(islice(_by_table(database, check, beside), most))
    for line in beside:
        on_unchecked(line)
    return [" ".join(line.split()) for line in real]


def _by_table(database: peewee.SqliteDatabase, check: str, beside: list[str]) -> Iterator[str]:
    for table in _tables(database):
        try:
            yield from _real(database, _lines(database, f"{check}('{_escaped(table)}')"), beside)
        except driver_errors(peewee.DatabaseError) as error:
            if not is_lacking(error):
                raise
            beside.append(f"{table} was not checked: {error}; {HINT}")


def _tables(database: peewee.SqliteDatabase) -> list[str]:
    rows = database.execute_sql("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
    return ["sqlite_schema", *(name for (name,) in rows)]


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def _lines(database: peewee.SqliteDatabase, check: str) -> Generator[str]:
    with closing(database.execute_sql(check)) as cursor:
        for (line,) in cursor:
            if line != "ok":
                yield str(line)


def _real(database: peewee.SqliteDatabase, lines: Iterable[str], beside: list[str]) -> Iterator[str]:
    """Leave out what some versions of SQLite say of sound tables, and put what is no damage of the file `beside`.

    3.40.0 to 3.41.0 find NULLs in WITHOUT ROWID tables whose columns do not begin with the key, 3.44.0 to 3.45.0 want
    to write to full-text tables. A full-text index that does not fit its text, which may be another table's, is no
    damage: it is made again from that.
    """
    false: set[str] = set()
    for line in lines:
        if line in false or (line.startswith(_NOT_LOOKED_AT) and line.endswith(_READ_ONLY)):
            continue
        if line.startswith(_NULL) and not _has_null(database, line.removeprefix(_NULL)):
            false.add(line)
        elif line.startswith(_FULL_TEXT):
            beside.append(f"{line}: it does not fit its text, from which its 'rebuild' makes it again")
        elif line.startswith(_NOT_LOOKED_AT):
            beside.append(line)  # the table that it takes its text from is gone, say
        else:
            yield line


def _has_null(database: peewee.SqliteDatabase, name: str) -> bool:
    """Tell whether `table.column` has a NULL, or is no column of this database."""
    parts = name.split(".")  # there may be more dots than one
    names = [(".".join(parts[:i]), ".".join(parts[i:])) for i in range(1, len(parts))]
    known = [pair for pair in names if database.execute_sql(_IS_COLUMN, pair).fetchone()]
    return not known or any(database.execute_sql(_find_null(*pair)).fetchone() for pair in known)


_IS_COLUMN = "SELECT 1 FROM pragma_table_xinfo(?) WHERE name = ?"


def _find_null(table: str, column: str) -> str:
    table, column = (name.replace('"', '""') for name in (table, column))
    # SQLite answers IS NULL from the column's NOT NULL, without a look at the rows.
    return f'SELECT 1 FROM main."{table}" NOT INDEXED WHERE typeof("{column}") = \'null\' LIMIT 1'  # noqa: S608


def first_damage(database: peewee.SqliteDatabase) -> str | None:
    """Give the first thing that is wrong with a database, which may be that it cannot be checked. Reads only."""
    try:
        found = damage(database)
    except peewee.DatabaseError as error:
        if is_lacking(error):
            raise
        return str(error)
    return found[0] if found else None


def violations(
    database: peewee.SqliteDatabase,
    table: str | None = None,
    *,
    on_unchecked: Callable[[str], object] | None = None,
) -> Counter[str]:
    """Count the foreign-key violations, of all tables or of one, by kind, one line a kind. Reads only.

    A foreign key that SQLite cannot even check (its parent has no such unique column) counts as one; so does, without
    `on_unchecked`, a table that this connection cannot check.
    """
    try:
        argument = "" if table is None else f"('{_escaped(table)}')"
        rows = database.execute_sql(f"PRAGMA foreign_key_check{argument}").fetchall()
    except peewee.OperationalError as error:
        if is_lacking(error):
            return _violations_by_table(database, table, str(error), on_unchecked)
        gone = table is not None and str(error).startswith("no such table")  # made and rolled back again
        return Counter() if gone else Counter({str(error): 1})
    return Counter(f"{child} has rows without their row in {parent}" for child, _, parent, _ in rows)


def _violations_by_table(
    database: peewee.SqliteDatabase, table: str | None, reason: str, on_unchecked: Callable[[str], object] | None
) -> Counter[str]:
    if table is None:
        found = (violations(database, each, on_unchecked=on_unchecked) for each in _tables(database)[1:])
        return sum(found, Counter[str]())
    line = f"the foreign keys of {table} were not checked: {reason}; {HINT}"
    if on_unchecked is None:
        return Counter({line: 1})
    on_unchecked(line)
    return Counter()
