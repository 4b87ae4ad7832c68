"""Read what a new row of a table has to obey: columns, keys, foreign keys, CHECKs and triggers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.filling.read_checks import Check, read_checks
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of, quoted, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import peewee


@dataclass(frozen=True, slots=True)
class FillColumn:
    """A column that a row can give a value: its name, declared type in upper case, collation and default (SQL)."""

    name: str
    type: str
    nullable: bool
    collation: str | None
    default: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns in lower case, the table that they refer to, and its columns."""

    columns: tuple[str, ...]
    parent: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FillTable:
    """An ordinary table. Column names are in lower case, except `FillColumn.name`.

    `keys` are the columns of each unique index by the name of the index; the primary key has the name "". `partial` are
    the indexes of `keys` that have a WHERE. `rowid` is the column that is the rowid. `triggers` are the texts of the
    triggers of the table.
    """

    name: str
    columns: Mapping[str, FillColumn]
    keys: Mapping[str, frozenset[str]]
    partial: frozenset[str]
    rowid: str | None
    references: tuple[Reference, ...]
    checks: tuple[Check, ...]
    strict: bool
    has_rowid: bool
    on_conflict: bool  # a rule of the table says what happens to a row that breaks it
    triggers: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """The name for a statement. No temporary table hides it."""
        return f"main.{quoted(self.name)}"

    def list_of(self, columns: Iterable[str]) -> str:
        """Return the names of columns for a statement."""
        return ", ".join(quoted(self.columns[column].name if column in self.columns else column) for column in columns)


_ORDINARY = (
    "FROM sqlite_master AS m JOIN pragma_table_list AS l ON l.name = m.name "
    "WHERE m.type = 'table' AND l.schema = 'main' AND l.type = 'table' "
    "AND m.name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY m.name"
)


def fillable_tables(database: peewee.SqliteDatabase) -> list[str]:
    """List the tables that can be filled: ordinary tables, also those of this package. Reads only."""
    return [name for (name,) in database.execute_sql(f"SELECT m.name {_ORDINARY}").fetchall()]


def read_tables(database: peewee.SqliteDatabase) -> dict[str, FillTable]:
    """Return the ordinary tables of a database by their names in lower case, in alphabetical order. Reads only."""
    found = database.execute_sql(f"SELECT m.name, m.sql, l.strict, l.wr {_ORDINARY}").fetchall()
    facts = _Facts(database)
    return {fold(row[0]): _table(row, facts) for row in found}


class _Facts:
    """Results of SQLite's pragmas by table. One statement for all tables is faster than one for each."""

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self.columns = self._read(
            'c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden', "pragma_table_xinfo(m.name, 'main') AS c"
        )
        self.indexes = self._read(
            "i.name, i.origin, i.partial, k.name, s.sql",
            "pragma_index_list(m.name, 'main') AS i JOIN pragma_index_xinfo(i.name, 'main') AS k "
            "LEFT JOIN sqlite_master AS s ON s.type = 'index' AND s.name = i.name",
            'i."unique" AND k.key',
        )
        self.references = self._read(
            'f.id, f."table", f."from", f."to"', "pragma_foreign_key_list(m.name, 'main') AS f", order="f.id, f.seq"
        )
        self.triggers = self._read(
            "t.sql", "sqlite_master AS t", "t.type = 'trigger' AND t.tbl_name = m.name COLLATE NOCASE"
        )
        self.primary = {
            fold(name): tuple(fold(row[0]) for row in sorted(rows, key=lambda row: int(row[4])) if row[4])
            for name, rows in self.columns.items()
        }

    def _read(self, what: str, source: str, where: str = "true", order: str = "1") -> Mapping[str, list[Sequence[Any]]]:
        grouped: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        for name, *row in self._database.execute_sql(
            f"SELECT m.name, {what} FROM sqlite_master AS m JOIN {source} "  # noqa: S608
            f"WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND {where} ORDER BY {order}"
        ).fetchall():
            grouped[name].append(row)
        return grouped


def _table(stored: Sequence[Any], facts: _Facts) -> FillTable:
    name, sql, strict, without_rowid = stored
    written = read_checks(sql)
    indexes = facts.indexes[name]
    primary = facts.primary[fold(name)]
    keys = _keys(indexes)
    rowid = None
    if len(primary) == 1 and not without_rowid and not any(row[1] == "pk" for row in indexes):
        rowid = primary[0]
        keys[""] = {rowid}
    return FillTable(
        name,
        {
            fold(column): FillColumn(
                column, type_.upper(), not (not_null or position), written.collations.get(fold(column)), default
            )
            for column, type_, not_null, default, position, hidden in facts.columns[name]
            if not hidden
        },
        {
            index: frozenset().union(*(written.made_from.get(column, {column}) for column in key))
            for index, key in keys.items()
        },
        frozenset(row[0] for row in indexes if row[2]),
        rowid,
        _references(facts.references[name], facts.primary),
        written.checks,
        bool(strict),
        not without_rowid,
        written.on_conflict,
        tuple(text for (text,) in facts.triggers[name]),
    )


def _keys(indexes: Sequence[Sequence[Any]]) -> dict[str, set[str]]:
    """Return the columns of each unique index; for an index on an expression, all names in it."""
    keys: dict[str, set[str]] = {}
    for index, _, _, column, sql in indexes:
        key = keys.setdefault(index, set())
        key |= {fold(column)} if column is not None else {fold(name_of(token)) for token in tokens(sql)}
    return keys


def _references(rows: Sequence[Sequence[Any]], primary: Mapping[str, tuple[str, ...]]) -> tuple[Reference, ...]:
    grouped: defaultdict[int, list[Sequence[Any]]] = defaultdict(list)
    for key, *row in rows:
        grouped[key].append(row)
    return tuple(
        Reference(
            tuple(fold(column) for _, column, _ in group),
            group[0][0],
            tuple(fold(target) for *_, target in group)
            if group[0][2] is not None
            else primary.get(fold(group[0][0]), ()),
        )
        for group in grouped.values()
    )
