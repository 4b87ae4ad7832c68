"""Put possible values into a temporary table, to ask SQLite which of them a CHECK allows.

The columns of the temporary table have the types and collations of the real table. So SQLite evaluates each CHECK as it
would for a row of the table, and no row has to be inserted to know the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.schema.sql_tokens import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.engines.sqlite.filling.groups import Row, Source
    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.read_tables import FillTable

NOT_OF_A_VALUE = ("no such ", "foreign key mismatch")  # how errors begin that no other value would avoid
NAME = 'temp."usage_store candidates"'
PLACE = '"usage_store place"'


class CandidateTable:
    """The temporary table for the values of one table. It exists in the `with` block after the first `put()`.

    Each row has a place, and values for the columns of one source.
    """

    def __init__(self, database: peewee.SqliteDatabase, table: FillTable) -> None:
        self._database = database
        self._table = table
        self._next = 0  # place
        self.error = ""  # the last error that an expression raised

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._next and self._database.connection().in_transaction:
            self._database.execute_sql(f"DROP TABLE IF EXISTS {NAME}")

    def _create(self) -> None:
        columns = ", ".join(
            # A type in quotes has the same affinity, and may have any words.
            quoted(each.name)
            + (f" {quoted(each.type)}" if each.type else "")
            + (f" COLLATE {quoted(each.collation)}" if each.collation else "")
            for each in self._table.columns.values()
        )
        self._database.execute_sql(f"CREATE TABLE {NAME} ({PLACE} INTEGER PRIMARY KEY, {columns})")
        self._next = 1

    def put(self, source: Source) -> range:
        """Add the values of a source, and return their places."""
        if not self._next:
            self._create()
        places = range(self._next, self._next + len(source.values))
        self._next = places.stop
        marks = ", ".join("?" * (len(source.columns) + 1))
        self._database.connection().executemany(
            f"INSERT INTO {NAME} ({PLACE}, {self._table.list_of(source.columns)}) VALUES ({marks})",  # noqa: S608
            [(place, *row) for place, row in zip(places, source.values, strict=True)],
        )
        return places

    def answer(self, sql: str, places: Sequence[range] = ()) -> tuple[list[Row], bool]:
        """Run a query for the rows at these places. Return its rows, and whether it could be run to its end."""
        ends = [place for each in places for place in (each.start, each.stop - 1)]
        try:
            return self._database.execute_sql(sql, ends).fetchall(), True
        except driver_errors(peewee.DatabaseError) as error:
            self.error = str(error)
            return [], False

    def joined(self, sources: Sequence[Source]) -> tuple[str, str]:
        """Write a FROM clause for sources, and a condition: columns that two sources have in common are the same."""
        known: set[str] = set()
        froms, same = [], "true"
        for number, source in enumerate(sources):
            columns = []
            for column in source.columns:
                name = quoted(self._table.columns[column].name)
                if column in known:
                    again = quoted(f"{column} of source {number}")
                    same += f" AND {name} IS {again}"
                    name += f" AS {again}"
                columns.append(name)
            known.update(source.columns)
            froms.append(f"(SELECT {', '.join(columns)} FROM {NAME} WHERE {PLACE} BETWEEN ? AND ?)")  # noqa: S608
        return " CROSS JOIN ".join(froms), same


def passed(checks: Sequence[Check]) -> str:
    """Write CHECKs for a WHERE clause. A CHECK is broken by false, but not by NULL."""
    return "".join(f" AND coalesce(({check.sql}), 1)" for check in checks)
