"""Run SQLite's own checks for damage and for broken foreign keys.

A connection may lack the functions and collations of an application. Then SQLite cannot check the tables that use them.
This is no damage: all other tables are checked, and `on_unchecked` gets one line for each table that was not.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.connection.lacking_functions import HINT, is_lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

logger = logging.getLogger("usage_store.migrate")

_NULL = "NULL value in "
_NOT_LOOKED_AT = "unable to validate the inverted index for "
_READ_ONLY = ": attempt to write a readonly database"
_FULL_TEXT = "malformed inverted index for FTS"  # SQLite 3.44 and newer check it
_ALL = 2**31 - 1  # lines


def damage(
    database: peewee.SqliteDatabase,
    *,
    full: bool = False,
    most: int = 1,
    on_unchecked: Callable[[str], object] = logger.warning,
) -> list[str]:
    """Run quick_check, or integrity_check if `full`, and return at most `most` lines that report damage. Reads only.

    `on_unchecked` gets one line for each thing that could not be checked or that is no damage of the file.
    """
    check = f"PRAGMA main.{'integrity' if full else 'quick'}_check"
    beside: list[str] = []
    try:
        lines = list(_lines(database, f"{check}({most})"))
        real = list(_real(database, lines, beside))
        if len(real) < len(lines):  # harmless lines took the place of others, so ask for all lines
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
    """Leave out false alarms of some SQLite versions, and put lines that report no damage of the file into `beside`.

    SQLite 3.40.0 to 3.41.0 report NULLs in sound WITHOUT ROWID tables whose first columns are not the key. SQLite
    3.44.0 to 3.45.0 try to write to full-text tables. A full-text index that does not match its text is no damage: it
    can be rebuilt from the text, which may be in another table.
    """
    false: set[str] = set()
    for line in lines:
        if line in false or (line.startswith(_NOT_LOOKED_AT) and line.endswith(_READ_ONLY)):
            continue
        if line.startswith(_NULL) and not _has_null(database, line.removeprefix(_NULL)):
            false.add(line)
        elif line.startswith(_FULL_TEXT):
            beside.append(f"{line}: it does not match its text; its 'rebuild' command makes it again from the text")
        elif line.startswith(_NOT_LOOKED_AT):
            beside.append(line)  # for example, the table with its text is missing
        else:
            yield line


def _has_null(database: peewee.SqliteDatabase, name: str) -> bool:
    """Return whether `table.column` really has a NULL. True, too, if this database has no such column."""
    parts = name.split(".")  # names may contain dots
    names = [(".".join(parts[:i]), ".".join(parts[i:])) for i in range(1, len(parts))]
    known = [pair for pair in names if database.execute_sql(_IS_COLUMN, pair).fetchone()]
    return not known or any(database.execute_sql(_find_null(*pair)).fetchone() for pair in known)


_IS_COLUMN = "SELECT 1 FROM pragma_table_xinfo(?) WHERE name = ?"


def _find_null(table: str, column: str) -> str:
    # SQLite takes NOT NULL as proof and answers IS NULL without reading the rows; typeof() reads them.
    where = f"typeof({quoted(column)}) = 'null'"
    return f"SELECT 1 FROM main.{quoted(table)} NOT INDEXED WHERE {where} LIMIT 1"  # noqa: S608


def first_damage(database: peewee.SqliteDatabase) -> str | None:
    """Return the first problem that a check finds, or None.

    A database that cannot be checked is a problem, too. Reads only.
    """
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
    """Count broken foreign keys of all tables, or of one `table`, by kind: the key is one line of text. Reads only.

    A foreign key that SQLite cannot check counts as one, for example one whose target has no UNIQUE index. A table that
    this connection cannot check is reported to `on_unchecked`; without `on_unchecked` it counts as one.
    """
    try:
        argument = "" if table is None else f"('{_escaped(table)}')"
        rows = database.execute_sql(f"PRAGMA foreign_key_check{argument}").fetchall()
    except peewee.OperationalError as error:
        if is_lacking(error):
            return _violations_by_table(database, table, str(error), on_unchecked)
        gone = table is not None and str(error).startswith("no such table")  # the table was created and rolled back
        return Counter() if gone else Counter({str(error): 1})
    return Counter(f"{child} has rows that refer to missing rows in {parent}" for child, _, parent, _ in rows)


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
