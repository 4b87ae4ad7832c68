"""Insert rows, and choose other values where the server refuses a row."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.error_messages import is_disk_failure, is_locked, sqlstate
from usage_store.engines.postgresql.filling.refusals import blamed_columns, refusal
from usage_store.engines.postgresql.filling.values_of_types import USUAL, guesses, value_of
from usage_store.engines.postgresql.schema.write_values import named
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from usage_store.engines.postgresql.filling.read_tables import FillColumn, FillTable, Reference

    Row = dict[str, Any]

_TRIES = 400  # for one row
_PARENTS = 200  # rows of a parent that may be referred to
_MORE = 30  # further values of a column that may not repeat
_UNIQUE = ("23505", "23P01")  # unique_violation, exclusion_violation
_SAVEPOINT = '"usage_store filling"'


class Inserts:
    """The inserts into one table, in the transaction of the caller. `number` is that of the first row."""

    def __init__(
        self, database: peewee.PostgresqlDatabase, table: FillTable, given: Mapping[str, Sequence[Any]], number: int
    ) -> None:
        self._database = database
        self._table = table
        self._given = given
        self._number = number
        self._unique = frozenset[str]().union(*table.keys)
        self._references = [
            each
            for each in table.references
            if table.columns.keys() >= {*each.columns} and not given.keys() & {*each.columns}
        ]
        tied = {column for reference in self._references for column in reference.columns}
        self._free = [
            each
            for each in table.columns.values()
            if each.name not in tied and each.name not in given and not each.counted
        ]
        self._guesses: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, bool]] = {}  # whether the server reads a text as the type of a column
        self._is_full = False

    def insert(self, rows: int) -> int:
        """Insert rows, and return how many. There are fewer if a key of the table has no value left.

        Raises CannotFill if the server refuses a row for another reason, or if the table stays empty.
        """
        for row in range(rows):
            error = self._insert(row, last=row == rows - 1 and rows > 1)
            if error is not None:
                if self._is_full and (row or self._has_rows()):
                    return row
                raise refusal(self._table, error)
        return rows

    def _insert(self, row: int, *, last: bool) -> Exception | None:
        """Insert one row, with other values where that is needed. Return the first error if none are accepted.

        Then `_is_full` says whether some of the values were refused because a row has them already.
        """
        self._is_full = False
        groups = self._groups(row, last=last)
        picks = [values[0] for values in groups]
        first = self._try(picks)
        error, seen = first, {_key(picks)}
        while error is not None and len(seen) <= _TRIES:
            # The rules are met one after the other: a row that breaks another rule now has met the one before.
            blamed = blamed_columns(self._table, error)
            places = [place for place, values in enumerate(groups) if blamed & values[0].keys()] or range(len(groups))
            for other in self._others(groups, picks, places):
                if _key(other) in seen:
                    continue
                seen.add(_key(other))
                found = self._try(other)
                if found is None:
                    return None
                if blamed_columns(self._table, found) != blamed or len(seen) > _TRIES:
                    picks, error = other, found
                    break
            else:
                return first
        return None if error is None else first

    def _others(
        self, groups: Sequence[Sequence[Row]], picks: Sequence[Row], places: Sequence[int]
    ) -> Iterator[list[Row]]:
        """Yield other picks: one of the places changes, then all of them do."""
        for place in places:
            for value in groups[place]:
                yield [*picks[:place], value, *picks[place + 1 :]]
        for values in islice(product(*(groups[place] for place in places)), _TRIES):
            changed = list(picks)
            for place, value in zip(places, values, strict=True):
                changed[place] = value
            yield changed

    def _groups(self, row: int, *, last: bool) -> list[list[Row]]:
        """Return the possible values of columns that get theirs together, the likeliest first."""
        groups = [self._of_column(each.name, row, last=last) for each in self._free]
        own = {name: value for values in groups for name, value in values[0].items()}
        groups += [[{name: values[row % len(values)]}] for name, values in self._given.items()]
        groups += [self._of_reference(each, row, own, last=last) for each in self._references]
        return [values for values in groups if values]

    def _of_column(self, name: str, row: int, *, last: bool) -> list[Row]:
        column = self._table.columns[name]
        unique = name in self._unique
        number = self._number + (row if unique else row // 2)
        if name not in self._guesses:
            self._guesses[name] = list(dict.fromkeys(guesses(column, self._number, _MORE if unique else 3)))
        turned = self._guesses[name]
        turned = [*turned[row % max(len(turned), 1) :], *turned[: row % max(len(turned), 1)]] if unique else turned
        values: list[Any] = [value_of(column, number + step) for step in range(_MORE if unique or column.labels else 3)]
        values = self._readable(column, [*values, *turned]) or self._readable(column, list(USUAL))
        if column.nullable:
            values.insert(0 if last else len(values), None)
        if not values:
            raise CannotFill(self._table.name, name, f"no value of the type {column.type} is known")
        return [{name: value} for value in dict.fromkeys(values)]

    def _readable(self, column: FillColumn, values: Sequence[str]) -> list[str | None]:
        """Return the texts that the server reads as the type of a column."""
        known = self._known.setdefault(column.name, {})
        new = [value for value in dict.fromkeys(values) if value not in known]
        if new:
            one_by_one = not self._reads(column, new)
            known.update({value: not one_by_one or self._reads(column, [value]) for value in new})
        return [value for value in values if known[value]]

    def _reads(self, column: FillColumn, values: Sequence[str]) -> bool:
        kind = column.type.replace("%", "%%")
        sql = f"SELECT count(value::{kind}) FROM unnest(%s::text[]) AS value"  # noqa: S608  a type of the catalog
        return self._error(sql, [list(values)]) is None

    def _of_reference(self, reference: Reference, row: int, own: Mapping[str, Any], *, last: bool) -> list[Row]:
        targets = ", ".join(f"{quoted(each)}::text" for each in reference.targets)
        known = " AND ".join(f"{quoted(each)} IS NOT NULL" for each in reference.targets)
        sql = f"SELECT {targets} FROM {reference.parent} WHERE {known} ORDER BY 1 LIMIT {_PARENTS}"  # noqa: S608
        keys = [tuple(each) for each in self._database.execute_sql(sql.replace("%", "%%")).fetchall()]
        keys = [*keys[row % max(len(keys), 1) :], *keys[: row % max(len(keys), 1)]]
        if reference.parent_id == self._table.id and own.keys() >= {*reference.targets}:
            keys.append(tuple(own[each] for each in reference.targets))
        found = [dict(zip(reference.columns, key, strict=True)) for key in keys]
        nullable = [column for column in reference.columns if self._table.columns[column].nullable]
        if nullable:
            nothing = dict.fromkeys(nullable)
            others = {column: value_of(self._table.columns[column], 1) for column in reference.columns}
            found.insert(0 if last else len(found), {**(found[0] if found else others), **nothing})
        if not found:
            listed = ", ".join(reference.columns)
            reason = f"{listed} must refer to a row of {reference.parent}, which has no rows; fill it, too"
            raise CannotFill(self._table.name, None, reason)
        return found

    def _try(self, picks: Sequence[Row]) -> Exception | None:
        row = {name: value for values in picks for name, value in values.items()}
        if row:
            marks = ", ".join("%s" for _ in row)
            columns = ", ".join(map(named, row))
            end = f"({columns}) OVERRIDING SYSTEM VALUE VALUES ({marks})"
        else:
            end = "DEFAULT VALUES"
        error = self._error(f"INSERT INTO {self._table.quoted} {end}", [_sent(each) for each in row.values()])
        self._is_full |= sqlstate(error) in _UNIQUE if error is not None else False
        return error

    def _error(self, sql: str, values: Sequence[Any]) -> Exception | None:
        """Run a statement, and return why the server refuses it. Then it is undone."""
        self._database.execute_sql(f"SAVEPOINT {_SAVEPOINT}")
        error: Exception | None = None
        try:
            self._database.execute_sql(sql, values)
        except driver_errors(peewee.DatabaseError) as refused:
            if is_disk_failure(refused) or is_locked(refused):
                raise
            error = refused
            self._database.execute_sql(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        self._database.execute_sql(f"RELEASE SAVEPOINT {_SAVEPOINT}")
        return error

    def _has_rows(self) -> bool:
        sql = f"SELECT 1 FROM {self._table.quoted} LIMIT 1"  # noqa: S608
        return self._database.execute_sql(sql).fetchone() is not None


def _key(picks: Sequence[Row]) -> tuple[Any, ...]:
    return tuple(value for values in picks for value in values.values())


def _sent(value: Any) -> Any:
    """Return a value as a text, which the server reads as the type of the column."""
    if value is None or isinstance(value, str | bytes):
        return value
    return str(int(value) if isinstance(value, bool) else value)  # the server reads "1" as a boolean, too
