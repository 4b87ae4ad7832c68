"""Insert the chosen rows, and choose other values where SQLite refuses a row."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.connection.error_messages import is_disk_failure, is_locked
from usage_store.engines.sqlite.filling.candidate_table import NOT_OF_A_VALUE
from usage_store.engines.sqlite.filling.read_checks import Check
from usage_store.engines.sqlite.filling.sources import MARGIN
from usage_store.engines.sqlite.filling.values_of_checks import values_of_checks
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of, tokens
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from usage_store.engines.sqlite.filling.groups import Group, Row
    from usage_store.engines.sqlite.filling.read_tables import FillTable
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_TRIES = 2_000  # for one row
_NEXT = 60  # values of one group that are tried, when only that group changes
_SUGGESTED = 2  # values of each kind that are read from a trigger
_PAIRS = 12  # the same, when two groups change together
_SAVEPOINT = '"usage_store filling"'
_UNIQUE = "UNIQUE constraint failed"


class Inserts:
    """The inserts into one table. Everything runs in the transaction of the caller."""

    def __init__(self, database: peewee.SqliteDatabase, table: FillTable, groups: Sequence[Group]) -> None:
        self._database = database
        self._table = table
        self._groups = groups
        self._groups_have_them = False
        columns = [column for group in groups for column in group.columns]
        # The word ABORT is there only where a rule says otherwise, because it would also change what triggers say.
        verb = "INSERT OR ABORT" if table.on_conflict else "INSERT"
        marks = ", ".join("?" * len(columns))
        self._sql = f"{verb} INTO {table.quoted} ({table.list_of(columns)}) VALUES ({marks})"

    def all_at_once(self, rows: int) -> bool:
        """Insert the rows that the groups' picks say, and return whether SQLite accepted all. If not, none is left."""
        before = self._count()
        every = [self._row([group.picks[row] for group in self._groups]) for row in range(rows)]
        self._database.execute_sql(f"SAVEPOINT {_SAVEPOINT}")
        try:
            self._database.connection().executemany(self._sql, every)
            done = self._count() - before >= rows
        except driver_errors(peewee.DatabaseError) as error:
            self._raise_if_not_of_a_row(error)
            done = False
        if not done:
            self._database.execute_sql(f"ROLLBACK TO {_SAVEPOINT}")
        self._database.execute_sql(f"RELEASE {_SAVEPOINT}")
        return done

    def one_by_one(self, rows: int) -> int:
        """Insert the rows with other values where SQLite refuses those of the picks. Return how many were inserted.

        There are fewer if a key of the table has no value left. Raises CannotFill if SQLite refuses a row for another
        reason, or if the table stays empty.
        """
        for row in range(rows):
            reason = self._insert([group.picks[row] for group in self._groups])
            if reason is not None:
                if self._is_full(reason, rows) and self._count():
                    return row
                raise self._cannot(reason)
        return rows

    def _count(self) -> int:
        return int(self._database.execute_sql(f"SELECT count(*) FROM {self._table.quoted}").fetchone()[0])  # noqa: S608

    def _row(self, picks: Sequence[int]) -> Row:
        return tuple(value for group, place in zip(self._groups, picks, strict=True) for value in group.pool[place])

    def _is_full(self, reason: str, rows: int) -> bool:
        """Return whether a key has no more values: all were tried, and no column of it can have any number of them."""
        blamed = self._blamed(reason)
        endless = any(
            source.type and not source.type.few and (source.more is None or len(group.pool) >= rows + MARGIN)
            for group in blamed
            for source in group.sources
        )
        given = any(group.given for group in blamed)
        return reason.startswith(_UNIQUE) and not endless and not given and _combinations(blamed) <= _TRIES

    def _insert(self, picks: list[int]) -> str | None:
        """Insert one row, with other values where that is needed. Return SQLite's reason if no values are accepted."""
        first = self._try(picks)
        if first is None or first.startswith(NOT_OF_A_VALUE):
            return first
        self._add_values_of_triggers()
        tried = {tuple(picks)}
        for other in self._others(picks, self._blamed(first)):
            if tuple(other) in tried:
                continue
            tried.add(tuple(other))
            if self._try(other) is None:
                return None
            if len(tried) > _TRIES:
                break
        return first

    @cached_property
    def _triggers(self) -> list[list[Token]]:
        return [tokens(text) for text in self._table.triggers]

    def _add_values_of_triggers(self) -> None:
        """Put values that the text of a trigger suggests at the end of the pools. They are for refused rows only."""
        if self._groups_have_them:
            return
        self._groups_have_them = True
        said = self._triggers
        rules = tuple(Check("", tuple(parts), ()) for parts in said if any(part.says("raise") for part in parts))
        named = {fold(name_of(part)) for rule in rules for part in rule.tokens}
        for group in self._groups:
            kind = group.sources[0].type
            if kind is not None and len(group.columns) == 1 and named.issuperset(group.columns):
                found = values_of_checks(rules, self._table.columns[group.columns[0]], 1, _SUGGESTED)
                group.pool = [*group.pool, *((value,) for value in dict.fromkeys(found) if kind.is_usual(value))]

    def _try(self, picks: Sequence[int]) -> str | None:
        self._database.execute_sql(f"SAVEPOINT {_SAVEPOINT}")
        reason: str | None = None
        try:
            if self._database.execute_sql(self._sql, self._row(picks)).rowcount < 1:
                reason = "a trigger leaves the row out"
        except driver_errors(peewee.DatabaseError) as error:
            self._raise_if_not_of_a_row(error)
            reason = str(error)
            self._database.execute_sql(f"ROLLBACK TO {_SAVEPOINT}")
        self._database.execute_sql(f"RELEASE {_SAVEPOINT}")
        return reason

    def _raise_if_not_of_a_row(self, error: Exception) -> None:
        if is_disk_failure(error) or is_locked(error):
            raise error
        if not self._database.connection().in_transaction:  # RAISE(ROLLBACK)
            raise self._cannot(str(error)) from None

    def _others(self, picks: Sequence[int], groups: Sequence[Group]) -> Iterator[list[int]]:
        """Yield other picks: one of the groups changes, then two, then all, if these are not too many."""
        blamed = [place for place, group in enumerate(self._groups) if group in groups]
        for place in blamed:
            for other in self._following(place, picks, _NEXT):
                yield _changed(picks, {place: other})
        for one, two in combinations(blamed, 2):
            for others in product(self._following(one, picks, _PAIRS), self._following(two, picks, _PAIRS)):
                yield _changed(picks, dict(zip((one, two), others, strict=True)))
        if _combinations(groups) <= _TRIES:
            for every in product(*(range(len(group.pool)) for group in groups)):
                yield _changed(picks, dict(zip(blamed, every, strict=True)))

    def _following(self, place: int, picks: Sequence[int], most: int) -> list[int]:
        size = len(self._groups[place].pool)
        return [(picks[place] + step) % size for step in range(1, min(size, most + 1))]

    def _blamed(self, reason: str) -> list[Group]:
        """Return the groups with the columns that SQLite names; all groups if it names none."""
        columns = self._columns_in(reason)
        return [group for group in self._groups if columns.intersection(group.columns)] or list(self._groups)

    def _columns_in(self, reason: str) -> set[str]:
        """Return the columns that a reason names. A trigger can give any reason, so it may mean all that it names."""
        what, _, names = reason.partition(": ")
        if what == "CHECK constraint failed":
            return {column for check in self._table.checks if check.name == names for column in check.columns}
        for index, key in self._table.keys.items():
            if names == f"index '{index}'":
                return {*key}
        found = {fold(name) for name in names.replace(f"{self._table.name}.", "").split(", ")}
        found.add(fold(reason.rpartition(f"{self._table.name}.")[2]))
        said = {fold(name_of(token)) for trigger in self._triggers for token in trigger}
        return found & self._table.columns.keys() or said & self._table.columns.keys()

    def _cannot(self, reason: str) -> CannotFill:
        columns = self._columns_in(reason)
        every = self._table.columns
        named = every[next((column for column in every if column in columns), next(iter(every)))].name
        column = None if reason.startswith(NOT_OF_A_VALUE) else named
        return CannotFill(self._table.name, column, " ".join(reason.split()))


def _combinations(groups: Sequence[Group]) -> int:
    return math.prod(len(group.pool) for group in groups)


def _changed(picks: Sequence[int], others: Mapping[int, int]) -> list[int]:
    return [others.get(place, pick) for place, pick in enumerate(picks)]
