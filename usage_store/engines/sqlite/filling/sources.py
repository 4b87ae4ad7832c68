"""Find possible values for each column of a table, before SQLite judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.filling.groups import Row, Source
from usage_store.engines.sqlite.filling.value_of_a_type import value_type
from usage_store.engines.sqlite.filling.values_of_checks import values_of_checks
from usage_store.engines.sqlite.schema.sql_tokens import fold
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import peewee

    from usage_store.engines.sqlite.filling.read_tables import FillTable, Reference
    from usage_store.engines.sqlite.filling.value_of_a_type import ValueType

MARGIN = 20  # more values than rows, because a row of the application may have one of them already
_PARENTS = 200  # rows of a parent that were there before
_ROUNDS = 30  # in which the number of the first row is doubled
_FEW = 3  # values of a column with a CHECK that may repeat
_BELOW_ROWIDS = 1_000  # a migration that is tested may insert rows of its own, with the keys 1, 2, 3
_LAST_ROWID = 2**63 - 1


class Sources:
    """The sources of one table for `rows` new rows. `number` is the number of the first row; values contain it."""

    def __init__(
        self,
        database: peewee.SqliteDatabase,
        table: FillTable,
        rows: int,
        number: int,
        given: Mapping[str, Sequence[Any]],
    ) -> None:
        self._database = database
        self._table = table
        self._rows = rows
        self.number = number
        self._given = given

    def find(self, tables: Mapping[str, FillTable], coming: Mapping[str, Sources]) -> list[Source]:
        """Return the sources of all columns. `coming` are the sources of tables that are not filled yet. Reads only."""
        found = [Source((name,), [(value,) for value in values], given=True) for name, values in self._given.items()]
        found += [
            self._of_reference(each, tables, coming)
            for each in self._table.references
            if not self._given.keys() >= {*each.columns} and self._table.columns.keys() >= {*each.columns}
        ]
        taken = {column for source in found for column in source.columns}
        found += [self._of_column(column) for column in self._table.columns if column not in taken]
        return found

    def predict(self, columns: Sequence[str]) -> list[Row]:
        """Return the values that the columns of a key will have in the new rows; none if that is not sure."""
        if any(not self._is_sure(column) for column in columns):
            return []
        sure = self._rows - any(self._table.columns[column].nullable for column in columns)  # the last row has NULL
        found = [self._of_column(column).values[:sure] for column in columns]
        return [sum(each, ()) for each in zip(*found, strict=True)]

    def _is_sure(self, name: str) -> bool:
        """Return whether the first values of a column are those that the new rows will have."""
        table = self._table
        tied = any(name in reference.columns for reference in table.references)
        checked = any(check.columns == (name,) for check in table.checks)
        return not tied and not checked and name not in self._given and self._is_key((name,))

    def _of_column(self, name: str) -> Source:
        column = self._table.columns[name]
        checks = tuple(check for check in self._table.checks if name in check.columns)
        unique = any(name in key for key in self._table.keys.values())
        kind = value_type(column.name, column.type, column.default)
        values: list[Any]
        many = self._rows + MARGIN if unique else _FEW if checks else self._rows // 2 + 1
        if name == self._table.rowid:
            first = self._next_rowid()
            values = list(range(first, first + many))
        else:
            first = self._free_number(name, kind) if unique else self.number
            values = [kind.make(first + place) for place in range(many)]
        values = _each_once(values)
        if column.nullable:
            values.append(None)

        def more() -> list[Row]:
            guessed = values_of_checks(checks, column, self.number, self._rows if unique else _FEW)
            return [(value,) for value in _each_once([*guessed, *self._there(name)])]

        return Source(
            (name,),
            [(value,) for value in values],
            unique=self._is_key((name,)),
            type=kind,
            more=more if checks else None,
        )

    def _is_key(self, columns: Collection[str]) -> bool:
        return any(key <= set(columns) for key in self._table.keys.values())

    def _free_number(self, name: str, kind: ValueType) -> int:
        """Return the number of the first row, or a larger one if existing rows have the next values already."""
        number = self.number
        sql = f"SELECT 1 FROM {self._table.quoted} WHERE {self._table.list_of([name])} IN (?, ?, ?) LIMIT 1"  # noqa: S608
        for _ in range(_ROUNDS if number > 1 else 0):
            if not self._database.execute_sql(sql, [kind.make(number + place) for place in range(3)]).fetchone():
                break
            number = 2 * number + self._rows
        return number

    def _next_rowid(self) -> int:
        name = self._table.list_of([str(self._table.rowid)])
        ((least, most),) = self._database.execute_sql(
            f"SELECT min({name}), max({name}) FROM {self._table.quoted}"  # noqa: S608
        ).fetchall()
        if most is not None and most >= _LAST_ROWID - self._rows - MARGIN:
            return int(least) - self._rows - MARGIN
        has_counters = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
        if self._database.execute_sql(has_counters).fetchone():
            counter = "SELECT max(seq) FROM main.sqlite_sequence WHERE name = ?"
            ((counted,),) = self._database.execute_sql(counter, (self._table.name,)).fetchall()
            most = max(most or 0, counted or 0)
        return max(most or 0, _BELOW_ROWIDS) + 1

    def _there(self, name: str) -> list[Any]:
        """Return a few values of existing rows, because they obey the rules."""
        if self.number == 1:
            return []
        sql = f"SELECT {self._table.list_of([name])} FROM {self._table.quoted} LIMIT {_FEW}"  # noqa: S608
        return [value for (value,) in self._database.execute_sql(sql).fetchall()]

    def _of_reference(
        self, reference: Reference, tables: Mapping[str, FillTable], coming: Mapping[str, Sources]
    ) -> Source:
        parent = tables.get(fold(reference.parent))
        values: list[Row] = []
        if parent is not None:
            values = self._keys_of(parent, reference.targets)
            if fold(parent.name) in coming:
                values = coming[fold(parent.name)].predict(reference.targets) + values
        nullable = [self._table.columns[column].nullable for column in reference.columns]
        if any(nullable):
            known = values[0] if values else tuple(self._of_column(each).values[0][0] for each in reference.columns)
            values.append(tuple(None if null else value for null, value in zip(nullable, known, strict=True)))
        if not values:
            missing = "which has no rows; fill it, too" if parent is not None else "which is no table"
            named = ", ".join(self._table.columns[column].name for column in reference.columns)
            raise CannotFill(self._table.name, None, f"{named} must refer to a row of {reference.parent}, {missing}")
        own = parent is self._table
        return Source(reference.columns, _each_once(values), unique=self._is_key(reference.columns), own=own)

    def _keys_of(self, parent: FillTable, targets: Iterable[str]) -> list[Row]:
        """Return keys of a parent's rows, the newest rows first."""
        names = parent.list_of(targets)
        known = " AND ".join(f"{parent.list_of([target])} IS NOT NULL" for target in targets)
        order = "ORDER BY rowid DESC" if parent.has_rowid else ""
        rows = self._database.execute_sql(
            f"SELECT {names} FROM {parent.quoted} WHERE {known} {order} LIMIT {self._rows + _PARENTS}"  # noqa: S608
        ).fetchall()
        return [*reversed(rows[: self._rows]), *rows[self._rows :]]


def _each_once(values: Iterable[Any]) -> list[Any]:
    """Leave out what comes a second time. 1 and 1.0 are different values, and so are 1 and True."""
    return list({repr(value): value for value in values}.values())
