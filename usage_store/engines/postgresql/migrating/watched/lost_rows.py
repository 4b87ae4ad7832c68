"""Find data that was lost in a migration: rows, tables, columns with values, indexes, triggers and constraints.

A migration declares the losses that it wants. `deletes = ("table", "table.column", ...)` names tables that may lose
rows or be dropped with rows, and columns that may be dropped with values. `drops = ("name", ...)` names indexes,
triggers and constraints that may be lost together with something else.

How this is checked: the server counts the rows that this transaction inserted and deleted, so no table is read that
nobody touched. Only of tables that a DROP or TRUNCATE names are the rows counted, before that statement runs, because
afterwards nobody can. Where a function hid such a statement, the loss is reported in doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.watched.kinds_of_statements import (
    creates_table,
    may_lose,
    names,
    only_adds,
    savepoint,
    without_comments,
    words,
)
from usage_store.engines.postgresql.migrating.watched.objects_of_a_schema import (
    Schema,
    count_values,
    has_all,
    meant_by,
    numbers_of,
    reached_from,
    read_schema,
    read_written,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import peewee

    from usage_store.engines.postgresql.migrating.watched.kept_schema import KeptSchema
    from usage_store.engines.postgresql.migrating.watched.objects_of_a_schema import Table

    Loss = tuple[set[str], str]  # the names that would declare the loss (one is enough), and its message

_EVERYTHING = ("SCHEMA", "OWNED", "EXTENSION", "TYPE", "DOMAIN")  # a DROP of these may reach any table


class Losses:
    """Compare the rows and objects before a migration with those after it. Use one for each migration.

    `kept` is the schema as it is before the migration. In a rehearsal, the transaction did something before it.
    """

    def __init__(self, database: peewee.PostgresqlDatabase, kept: KeptSchema, *, in_a_rehearsal: bool) -> None:
        self._database = database
        self._kept = kept
        self._in_a_rehearsal = in_a_rehearsal
        self._before: Schema | None = None
        self._start: dict[int, tuple[int, int]] | None = None
        self._undone: dict[int, tuple[int, int]] = {}  # what was rolled back to a savepoint
        self._savepoints: list[tuple[str, dict[int, tuple[int, int]]]] = []
        self._counted: dict[int, int] = {}  # rows before the migration
        self._filled: dict[tuple[int, str], bool] = {}  # whether a column had values that no new column has
        self._statements: list[str] = []
        self._created: set[str] = set()

    @property
    def looked(self) -> bool:
        """Whether the schema was read, because a statement may change what existed before."""
        return self._before is not None

    def before(self, sql: str) -> None:
        """Remember what the next statement may lose. Reads only."""
        if self._start is None:
            # The counts of the session were collected just before the transaction of the runner began.
            self._start = read_written(self._database) if self._in_a_rehearsal else {}
        if only_adds(sql):
            return
        text = without_comments(sql)
        if self._before is None:
            there = self._kept.read()
            older = {oid: table for oid, table in there.tables.items() if table.name not in self._created}
            self._before = Schema(older, there.parts)
        self._statements.append(text)
        if may_lose(text):
            self._count(self._before, text)

    def after(self, sql: str) -> None:
        """Note the table that a statement, which has run, created, or what it took back to a savepoint. Reads only."""
        created = creates_table(sql)
        if created is not None and self._before is None:
            self._created.add(created)
        found = savepoint(sql)
        if found is None:
            return
        word, name = found
        if word == "SAVEPOINT":
            self._savepoints.append((name, self._written()))
            return
        known = [each for each, _ in self._savepoints]
        if name in known:
            last = len(known) - 1 - known[::-1].index(name)
            if word == "ROLLBACK":
                there = self._savepoints[last][1]
                for oid, counts in self._written(also_undone=True).items():
                    self._undone[oid] = _sum(self._undone.get(oid), _difference(counts, there.get(oid)))
            del self._savepoints[last + (word == "ROLLBACK") :]

    def _written(self, *, also_undone: bool = False) -> dict[int, tuple[int, int]]:
        """Return the rows that the migration inserted and deleted, without what was noted as taken back."""
        start = self._start
        if start is None:
            return {}
        return {
            oid: _difference(_difference(counts, start.get(oid)), self._undone.get(oid))
            for oid, counts in read_written(self._database, also_undone=also_undone).items()
        }

    def _count(self, before: Schema, text: str) -> None:
        named = numbers_of(self._database, words(text))
        if any(names(text, word) for word in _EVERYTHING):
            named = set(before.tables)
        elif named and (names(text, "CASCADE") or names(text, "TRUNCATE")):
            named = reached_from(self._database, named)
        named &= before.tables.keys()
        if not named:
            return
        written = self._written()
        for oid, table in self._read(named).tables.items():
            rows, values = count_values(self._database, table)
            inserted, deleted = written.get(oid, (0, 0))
            self._counted.setdefault(oid, rows + deleted - inserted)
            made = [name for number, name in table.columns.items() if number not in before.tables[oid].columns]
            for number, name in table.columns.items():
                old = before.tables[oid].columns.get(number)
                if old is not None and (name in values or old not in before.tables[oid].stored):
                    kept = any(has_all(self._database, table, name, other) for other in made)
                    self._filled[oid, old] = bool(values.get(name)) and not kept

    def find(
        self, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool, relations: Collection[int] | None
    ) -> list[str]:
        """Return a message for each loss that is not declared. Reads only.

        `relations` are the numbers of those that the transaction has changed, besides writing rows of them; None means
        that it may have changed any.

        For `down` (`undoing`), some losses are no faults: dropped tables and columns, and rows that a DELETE statement
        deleted. To remove them is the purpose of `down`.
        """
        written = self._written() if self._start is not None else {}
        if self._before is None and not any(deleted for _, deleted in written.values()):
            return []
        changed = None if relations is None else {*relations, *written}
        after = self._read(changed)
        before = self._before or after  # without a look, only triggers of an INSERT have deleted rows
        if changed is not None:
            before = _only(before, changed)
        became = _follow(before, after)
        losses = [*self._rows(before, after, became, written, undoing=undoing)]
        if not undoing:
            losses += self._columns(before, after, became)
        parts = [*self._parts(before, after, became, undoing=undoing)]
        if not losses and not parts:
            return []
        there = self._before or self._read(None)  # whole, because a name may be that of a table that was not changed
        return [
            *_undeclared(losses, meant_by(deletes, there, after)),
            *_undeclared(parts, meant_by(drops, there, after)),
        ]

    def _read(self, relations: Collection[int] | None) -> Schema:
        """Read the schema, or the part that some relations make up. On a scratch database, it is small. Reads only."""
        if relations is None or self._in_a_rehearsal:
            found = read_schema(self._database)
            return found if relations is None else _only(found, relations)
        return read_schema(self._database, relations)

    def _rows(
        self,
        before: Schema,
        after: Schema,
        became: dict[int, int | None],
        written: dict[int, tuple[int, int]],
        *,
        undoing: bool,
    ) -> Iterator[Loss]:
        for oid, table in before.tables.items():
            now = became[oid]
            if now is None:
                if not undoing and self._counted.get(oid) != 0:
                    yield {table.name}, _dropped(table, self._counted.get(oid))
                continue
            found = after.tables[now]
            count, left = self._rows_of(table, found, written.get(oid, (0, 0)))
            deleted = undoing and any(
                names(text, found.name) and (names(text, "DELETE") or names(text, "TRUNCATE"))
                for text in self._statements
            )
            if left < count and not deleted:
                what = table.name if found.name == table.name else f"{table.name}, now {found.name},"
                line = f"{what} lost {count - left} of {count} rows"
                if oid not in self._counted and table.storage != found.storage:
                    line = f"{what} was emptied and may have had rows"
                yield {table.name, found.name}, f"{line}; if that is meant, {_declare(table.name)}"

    def _rows_of(self, table: Table, found: Table, written: tuple[int, int]) -> tuple[int, int]:
        """Return the rows of a table before and after. Reads only the tables of doubtful counts."""
        inserted, deleted = written
        if table.oid == found.oid and table.storage == found.storage and deleted <= inserted:
            return 0, 0
        left, _ = count_values(self._database, found)
        if table.oid in self._counted:
            return self._counted[table.oid], left
        if table.oid == found.oid and table.storage == found.storage:
            return left + deleted - inserted, left
        # A function may have said TRUNCATE; an ALTER keeps the rows.
        emptied = left == 0 and (table.may_have_rows or not any(names(text, "ALTER") for text in self._statements))
        return (1 if emptied or table.oid != found.oid else left), left

    def _columns(self, before: Schema, after: Schema, became: dict[int, int | None]) -> Iterator[Loss]:
        for oid, table in before.tables.items():
            now = became[oid]
            if now is None:
                continue
            found = after.tables[now]
            there = found.columns.keys() if now == oid else set(found.columns.values())
            for number, name in table.columns.items():
                if (number if now == oid else name) in there or name not in table.stored:
                    continue
                if self._filled.get((oid, name), count_values(self._database, found)[0] > 0):
                    full = f"{table.name}.{name}"
                    line = f"{full} was dropped with its values; if that is meant, {_declare(full)}"
                    yield {full, f"{found.name}.{name}"}, line

    def _parts(self, before: Schema, after: Schema, became: dict[int, int | None], *, undoing: bool) -> Iterator[Loss]:
        """Yield the indexes, triggers and constraints that are gone although their table still exists.

        What goes with a column that `down` drops is no loss.
        """
        there = set(after.parts.values())
        for key, part in before.parts.items():
            now = became.get(part.table)
            if key in after.parts or now is None or part._replace(table=now) in there or self._drops(part.name):
                continue
            if undoing and before.tables[part.table].columns.keys() - after.tables[now].columns.keys():
                continue
            line = f"{part.kind} {part.name} of {after.tables[now].name} was lost; create it again, or declare drops = "
            yield {part.name}, f"{line}({part.name!r},)"
        for oid, table in before.tables.items():
            now = became[oid]
            if now is None or now == oid:
                continue
            found = after.tables[now]
            for name in sorted(set(table.required) & set(found.columns.values()) - set(found.required)):
                line = f"NOT NULL of {found.name}.{name} was lost; declare the column NOT NULL, or declare drops = "
                yield {f"{found.name}.{name}"}, f"{line}({f'{found.name}.{name}'!r},)"

    def _drops(self, name: str) -> bool:
        return any(names(text, "DROP") and names(text, name) for text in self._statements)


def _follow(before: Schema, after: Schema) -> dict[int, int | None]:
    """Return what each table became, or None if it is gone.

    A new table with the name of one that is gone counts as its continuation: this is a rebuild written by hand.
    """
    new = {table.name: oid for oid, table in after.tables.items() if oid not in before.tables}
    return {oid: oid if oid in after.tables else new.get(table.name) for oid, table in before.tables.items()}


def _only(schema: Schema, relations: Collection[int]) -> Schema:
    """Return the part of a schema that some relations make up."""
    return Schema(
        {oid: schema.tables[oid] for oid in relations if oid in schema.tables},
        {key: each for key, each in schema.parts.items() if each.table in relations or key[1] in relations},
    )


def _dropped(table: Table, count: int | None) -> str:
    rows = f"with {count} rows" if count is not None else "and may have had rows"
    return f"{table.name} was dropped {rows}; if that is meant, {_declare(table.name)}"


def _declare(name: str) -> str:
    return f"declare deletes = ({name!r},)"


def _undeclared(losses: Iterable[Loss], meant: Collection[str]) -> list[str]:
    return [line for names_, line in losses if names_.isdisjoint(meant)]


def _sum(one: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    return other if one is None else (one[0] + other[0], one[1] + other[1])


def _difference(one: tuple[int, int], other: tuple[int, int] | None) -> tuple[int, int]:
    return one if other is None else (one[0] - other[0], one[1] - other[1])
