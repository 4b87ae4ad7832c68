"""Let SQLite choose, among possible values, those that the CHECKs of a table allow.

The values are put into a temporary table whose columns have the same types and collations. So SQLite evaluates each
CHECK as it would for a row of the table, and no row has to be inserted to know the answer.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.filling.compared_with import compared_with
from usage_store.engines.sqlite.filling.read_checks import spelled
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of, quoted
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.sqlite.filling.groups import Group, Row, Source
    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.read_tables import FillTable
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_NAME = 'temp."usage_store candidates"'
_PLACE = '"usage_store place"'
_COMBINATIONS = 20_000  # that SQLite may try for one answer
_ONE_BY_ONE = 500  # the same, where an expression raises an error for some values
_COMPUTED = 40  # values that are computed from the other side of a comparison


class Solver:
    """The temporary table for the values of one table. Use it in a `with` block."""

    def __init__(self, database: peewee.SqliteDatabase, table: FillTable) -> None:
        self._database = database
        self._table = table
        self._next = 1
        self._made = False
        self._error = ""  # the last error that an expression raised

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made:
            self._database.execute_sql(f"DROP TABLE IF EXISTS {_NAME}")

    def pool(self, group: Group) -> list[Row]:
        """Return values of the columns of a group that its CHECKs allow together.

        Each possible value of each source is in the result, if there is a combination for it. Raises CannotFill if
        nothing is allowed, or if a value that the caller gave is not.
        """
        if not self._made:
            self._create()
        sources = [self._allowed(self._with_constants(source, group.checks), group.checks) for source in group.sources]
        if len(sources) == 1:
            return list(sources[0].values)
        sources = [
            self._allowed(self._with_computed(source, group.checks, sources), group.checks) for source in sources
        ]
        return self._combined(group, sources)

    def _create(self) -> None:
        columns = ", ".join(
            f"{quoted(column.name)} {column.type}"
            + (f" COLLATE {quoted(column.collation)}" if column.collation else "")
            for column in self._table.columns.values()
        )
        self._database.execute_sql(f"CREATE TABLE {_NAME} ({_PLACE} INTEGER PRIMARY KEY, {columns})")
        self._made = True

    def _put(self, source: Source) -> range:
        places = range(self._next, self._next + len(source.values))
        self._next = places.stop
        marks = ", ".join("?" * (len(source.columns) + 1))
        self._database.connection().executemany(
            f"INSERT INTO {_NAME} ({_PLACE}, {self._table.list_of(source.columns)}) VALUES ({marks})",  # noqa: S608
            [(place, *row) for place, row in zip(places, source.values, strict=True)],
        )
        return places

    def _with_constants(self, source: Source, checks: Sequence[Check]) -> Source:
        """Add the values of expressions without columns that a column is compared with, such as `10 * 1024`."""
        if source.type is None:
            return source
        found = [
            value
            for other in _compared(checks, source)
            if not self._columns_in(other)
            for value in self._values(f"SELECT {spelled(other)}", ())
        ]
        return _with(source, found)

    def _with_computed(self, source: Source, checks: Sequence[Check], sources: Sequence[Source]) -> Source:
        """Add the values of expressions that a column is compared with, such as `price * number`."""
        if source.type is None:
            return source
        found: list[Any] = []
        for other in _compared(checks, source):
            needed = self._columns_in(other)
            others = [each for each in sources if needed.intersection(each.columns)]
            if others and source not in others:
                froms, ranges = self._joined(others, self._few(others))
                found += self._values(f"SELECT DISTINCT {spelled(other)} FROM {froms} LIMIT {_COMPUTED}", ranges)
        return _with(source, found)

    def _columns_in(self, parts: Sequence[Token]) -> set[str]:
        return {fold(name_of(part)) for part in parts if part.kind in ("word", "quoted")} & self._table.columns.keys()

    def _values(self, sql: str, parameters: Sequence[int]) -> list[Any]:
        rows, _ = self._answer(sql, parameters)
        return [value for (value,) in rows if value is not None]

    def _answer(self, sql: str, parameters: Sequence[int]) -> tuple[list[Row], bool]:
        """Run a query, and return its rows and whether it could be run to its end."""
        try:
            return self._database.execute_sql(sql, tuple(parameters)).fetchall(), True
        except driver_errors(peewee.DatabaseError) as error:
            self._error = str(error)
            return [], False

    def _allowed(self, source: Source, checks: Sequence[Check]) -> Source:
        """Keep the values that the CHECKs of these columns alone allow, in the form in which SQLite stores them."""
        own = [check for check in checks if set(check.columns) <= set(source.columns)]
        places = self._put(source)
        sql = (
            f"SELECT {_PLACE}, {self._table.list_of(source.columns)} FROM {_NAME} "  # noqa: S608
            f"WHERE {_PLACE} BETWEEN ? AND ?{_terms(own)} ORDER BY 2 IS NULL, 1"
        )
        rows, complete = self._answer(sql, (places.start, places.stop - 1))
        if not complete:
            rows = [row for place in places for row in self._answer(sql, (place, place))[0]]
        passed = {place: tuple(row) for place, *row in rows}
        if source.given:
            for place, row in zip(places, source.values, strict=True):
                if place not in passed:
                    raise self._cannot(source.columns, own, row)
        if not passed:
            raise self._cannot(source.columns, own)
        kind = source.type
        usual = [row for row in passed.values() if kind is not None and kind.is_usual(row[0])]
        return replace(source, values=usual if any(row != (None,) for row in usual) else list(passed.values()))

    def _few(self, sources: Sequence[Source]) -> list[range]:
        """Put the best values of each source into the table; all of them together make not too many combinations."""
        most = max(2, int(_COMBINATIONS ** (1 / len(sources))))
        return [self._put(replace(source, values=_best(source.values, most))) for source in sources]

    def _joined(self, sources: Sequence[Source], places: Sequence[range]) -> tuple[str, list[int]]:
        """Write a FROM clause for sources, and give its parameters. A column that comes again gets another name."""
        known: set[str] = set()
        froms = []
        for number, source in enumerate(sources):
            columns = ", ".join(
                quoted(self._table.columns[column].name) + (f" AS {_again(column, number)}" if column in known else "")
                for column in source.columns
            )
            known.update(source.columns)
            froms.append(f"(SELECT {columns} FROM {_NAME} WHERE {_PLACE} BETWEEN ? AND ?)")  # noqa: S608
        return " CROSS JOIN ".join(froms), _ends(places)

    def _combined(self, group: Group, sources: Sequence[Source]) -> list[Row]:
        few = self._few(sources)
        froms, _ = self._joined(sources, few)
        known: set[str] = set()
        same = ""
        for number, source in enumerate(sources):
            for column in source.columns:
                if column in known:
                    same += f" AND {quoted(self._table.columns[column].name)} IS {_again(column, number)}"
            known.update(source.columns)
        sql = f"SELECT {self._table.list_of(group.columns)} FROM {froms} WHERE true{same}{_terms(group.checks)} LIMIT 1"  # noqa: S608
        found: dict[Row, None] = {}
        for number, source in enumerate(sources):
            for turn, (place, row) in enumerate(zip(self._put(source), source.values, strict=True)):
                rows = self._first(sql, _beside(turn, row, sources, few), number, place)
                rows = rows or self._first(sql, few, number, place)
                if not rows and source.given:
                    raise self._cannot(source.columns, group.checks, row)
                found.update(dict.fromkeys(rows))
        if not found:
            raise self._cannot(group.columns, group.checks)
        return list(found)

    def _first(self, sql: str, ranges: Sequence[range], number: int, place: int) -> list[Row]:
        """Return the first combination of the places in these ranges, with this place of the source of this number."""
        focused = [*ranges]
        focused[number] = range(place, place + 1)
        rows, complete = self._answer(sql, _ends(focused))
        if complete:
            return rows
        for _, places in zip(range(_ONE_BY_ONE), product(*focused), strict=False):
            rows, _ = self._answer(sql, [place for one in places for place in (one, one)])
            if rows:
                return rows
        return []

    def _cannot(self, columns: Sequence[str], checks: Sequence[Check], row: Row | None = None) -> CannotFill:
        broken = "; ".join(f"CHECK constraint failed: {check.name}" for check in checks)
        reason = " ".join((broken or self._error or "its foreign keys have no row in common").split())
        if row is not None:
            reason = f"the value {', '.join(map(repr, row))} was given: {reason}"
        named = next((column for check in checks for column in check.columns if column in columns), columns[0])
        return CannotFill(self._table.name, self._table.columns[named].name, reason)


def _terms(checks: Sequence[Check]) -> str:
    """Write CHECKs for a WHERE clause. A CHECK is broken by false, but not by NULL."""
    return "".join(f" AND coalesce(({check.sql}), 1)" for check in checks)


def _compared(checks: Sequence[Check], source: Source) -> Iterator[tuple[Token, ...]]:
    for check in checks:
        yield from (other for other in compared_with(check, source.columns[0]) if len(other) > 1)


def _with(source: Source, found: Sequence[Any]) -> Source:
    near = [number for value in found if isinstance(value, int | float) for number in (value, value + 1, value - 1)]
    others = [value for value in found if not isinstance(value, int | float)]
    return replace(source, values=[*source.values, *((value,) for value in (*near, *others))])


def _beside(turn: int, row: Row, sources: Sequence[Source], few: Sequence[range]) -> list[range]:
    """Narrow the ranges: NULL comes with NULLs, and the next value of a key with the next value of another key."""
    if None in row:
        return [each[-1:] if None in source.values[-1] else each for source, each in zip(sources, few, strict=True)]
    return [
        each[turn : turn + 1] if source.unique and turn < len(each) else each
        for source, each in zip(sources, few, strict=True)
    ]


def _best(values: Sequence[Row], most: int) -> list[Row]:
    """Return the first values, and one with NULL if there is any."""
    best = list(values[:most])
    null = next((row for row in values if None in row), None)
    if null is not None and null not in best:
        best[-1] = null
    return best


def _ends(places: Sequence[range]) -> list[int]:
    return [place for each in places for place in (each.start, each.stop - 1)]


def _again(column: str, number: int) -> str:
    return quoted(f"{column} of source {number}")
