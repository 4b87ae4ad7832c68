"""Find values that the CHECKs of a table allow together. SQLite itself evaluates the CHECKs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.filling.candidate_table import NAME, NOT_OF_A_VALUE, PLACE, CandidateTable, passed
from usage_store.engines.sqlite.filling.compared_with import compared_with
from usage_store.engines.sqlite.filling.read_checks import spelled
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.engines.sqlite.filling.groups import Group, Row, Source
    from usage_store.engines.sqlite.filling.read_checks import Check
    from usage_store.engines.sqlite.filling.read_tables import FillTable
    from usage_store.engines.sqlite.schema.sql_tokens import Token

_COMBINATIONS = 20_000  # that SQLite may try for one answer
_ONE_BY_ONE = 500  # the same, where an expression raises an error for some values
_COMPUTED = 40  # values that are computed from the other side of a comparison
_SHOWN = 16  # values of a source that may repeat, for which a combination is looked for


class Solver:
    """Finds the values of the groups of one table."""

    def __init__(self, table: FillTable, candidates: CandidateTable) -> None:
        self._table = table
        self._candidates = candidates

    def pool(self, group: Group) -> list[Row]:
        """Return values of the columns of a group that its CHECKs allow together.

        The first possible values of each source are in the result, if there is a combination for them. Raises
        CannotFill if nothing is allowed, or if a value that the caller gave is not.
        """
        checks = group.checks
        if len(group.sources) == 1:
            (source,) = group.sources
            found = self._ask(source, checks)
            few = source.more is not None and len(found) < len(source.values)
            return list(self._allowed(self._with_more(source, checks) if few else source, checks).values)
        sources = [self._allowed(self._with_more(source, checks), checks) for source in group.sources]
        return self._combined(
            group, [self._allowed(self._with_computed(source, checks, sources), checks) for source in sources]
        )

    def _with_more(self, source: Source, checks: Sequence[Check]) -> Source:
        """Add what the CHECKs suggest, and the values of expressions without columns in them, such as `10 * 1024`."""
        if source.more is None:
            return source
        sides = [other for other in _other_sides(checks, source) if not self._columns_in(other)]
        constants = [value for other in sides for value in self._values(f"SELECT {spelled(other)}", ())]
        return _with(replace(source, values=[*source.values, *source.more()]), constants)

    def _with_computed(self, source: Source, checks: Sequence[Check], sources: Sequence[Source]) -> Source:
        """Add the values of expressions that a column is compared with, such as `price * number`."""
        found: list[Any] = []
        for other in _other_sides(checks, source):
            needed = self._columns_in(other)
            others = [each for each in sources if needed.intersection(each.columns)]
            if others and source not in others:
                froms, same = self._candidates.joined(others)
                sql = f"SELECT DISTINCT {spelled(other)} FROM {froms} WHERE {same} LIMIT {_COMPUTED}"  # noqa: S608
                found += self._values(sql, self._put_few(others))
        return _with(source, found)

    def _columns_in(self, parts: Sequence[Token]) -> set[str]:
        return {fold(name_of(part)) for part in parts if part.kind in ("word", "quoted")} & self._table.columns.keys()

    def _values(self, sql: str, places: Sequence[range]) -> list[Any]:
        rows, _ = self._candidates.answer(sql, places)
        return [value for (value,) in rows if value is not None]

    def _ask(self, source: Source, checks: Sequence[Check]) -> dict[int, Row]:
        """Return the values that the CHECKs of these columns alone allow, by their places, as SQLite stores them."""
        own = [check for check in checks if set(check.columns) <= set(source.columns)]
        places = self._candidates.put(source)
        sql = (
            f"SELECT {PLACE}, {self._table.list_of(source.columns)} FROM {NAME} "  # noqa: S608
            f"WHERE {PLACE} BETWEEN ? AND ?{passed(own)} ORDER BY 2 IS NULL, 1"
        )
        rows, complete = self._candidates.answer(sql, [places])
        if not complete:
            rows = [row for place in places for row in self._candidates.answer(sql, [range(place, place + 1)])[0]]
        return {place - places.start: tuple(row) for place, *row in rows}

    def _allowed(self, source: Source, checks: Sequence[Check]) -> Source:
        """Keep the values that the CHECKs of these columns alone allow; of these, the usual ones if there are any."""
        found = self._ask(source, checks)
        own = [check for check in checks if set(check.columns) <= set(source.columns)]
        if source.given:
            for place, row in enumerate(source.values):
                if place not in found:
                    raise self._cannot(source.columns, own, row)
            return replace(source, values=[found[place] for place in range(len(found))])
        if not found:
            raise self._cannot(source.columns, own)
        kind = source.type
        usual = [row for row in found.values() if kind is not None and kind.is_usual(row[0])]
        return replace(source, values=usual if any(row != (None,) for row in usual) else list(found.values()))

    def _put_few(self, sources: Sequence[Source]) -> list[range]:
        """Put the best values of each source into the table; all of them together make not too many combinations."""
        most = max(2, int(_COMBINATIONS ** (1 / len(sources))))
        return [self._candidates.put(replace(each, values=_best(each.values, most))) for each in sources]

    def _combined(self, group: Group, sources: Sequence[Source]) -> list[Row]:
        few = self._put_few(sources)
        froms, same = self._candidates.joined(sources)
        names = self._table.list_of(group.columns)
        sql = f"SELECT {names} FROM {froms} WHERE {same}{passed(group.checks)} LIMIT 1"  # noqa: S608
        found: dict[Row, None] = {}
        for number, source in enumerate(sources):
            shown = source if source.unique or source.given else replace(source, values=_best(source.values, _SHOWN))
            for turn, (place, row) in enumerate(zip(self._candidates.put(shown), shown.values, strict=True)):
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
        rows, complete = self._candidates.answer(sql, focused)
        if complete:
            return rows
        for _, places in zip(range(_ONE_BY_ONE), product(*focused), strict=False):
            rows, _ = self._candidates.answer(sql, [range(each, each + 1) for each in places])
            if rows:
                return rows
        return []

    def _cannot(self, columns: Sequence[str], checks: Sequence[Check], row: Row | None = None) -> CannotFill:
        if self._candidates.error.startswith(NOT_OF_A_VALUE):
            return CannotFill(self._table.name, None, f"{self._candidates.error} (in a CHECK)")
        broken = "; ".join(f"CHECK constraint failed: {check.name}" for check in checks)
        reason = " ".join((broken or self._candidates.error or "its foreign keys have no row in common").split())
        if row is not None:
            reason = f"the value {', '.join(map(repr, row))} was given: {reason}"
        named = next((column for check in checks for column in check.columns if column in columns), columns[0])
        return CannotFill(self._table.name, self._table.columns[named].name, reason)


def _other_sides(checks: Sequence[Check], source: Source) -> Iterator[tuple[Token, ...]]:
    """Yield the expressions that a column is compared with; none for a foreign key and for values of the caller."""
    if source.type is not None:
        for check in checks:
            yield from (other for other in compared_with(check, source.columns[0]) if len(other) > 1)


def _with(source: Source, found: Sequence[Any]) -> Source:
    near = [number for value in found if isinstance(value, int | float) for number in (value, value + 1, value - 1)]
    others = [value for value in found if not isinstance(value, int | float)]
    return replace(source, values=[*source.values, *((value,) for value in (*near, *others))])


def _best(values: Sequence[Row], most: int) -> list[Row]:
    """Return the first values, and one with NULL if there is any."""
    best = list(values[:most])
    null = next((row for row in values if None in row), None)
    if null is not None and null not in best:
        best[-1] = null
    return best


def _beside(turn: int, row: Row, sources: Sequence[Source], few: Sequence[range]) -> list[range]:
    """Narrow the ranges: NULL comes with NULLs, and the next value of a key with the next value of another key."""
    if None in row:
        return [each[-1:] if None in source.values[-1] else each for source, each in zip(sources, few, strict=True)]
    return [
        each[turn : turn + 1] if source.unique and turn < len(each) else each
        for source, each in zip(sources, few, strict=True)
    ]
