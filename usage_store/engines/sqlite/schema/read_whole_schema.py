"""What the schema of a live SQLite database is: all of it, or some objects of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_differences import Catalog, Column, ForeignKey, Table
from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import peewee

    _Rows = Sequence[Sequence[Any]]

_FEW = 200  # tables that are named one by one


def read_catalog(database: peewee.SqliteDatabase, only: Collection[str] | None = None) -> Catalog:
    """Read the whole schema, SQLite's own tables left out. Reads only.

    With `only`, names in lower case: the objects of these names, and the indexes and triggers on tables among them.
    """
    rows = database.execute_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    ).fetchall()
    if only is not None:
        wanted = frozenset(only)
        rows = [row for row in rows if row[1].lower() in wanted or row[2].lower() in wanted]
    definitions = {name: sql for kind, name, _, sql in rows if is_ordinary(kind, sql)}
    facts = _read_facts(database, None if only is None or len(definitions) > _FEW else list(definitions))
    others = {
        name.lower(): (kind, table.lower(), normal_object(sql))
        for kind, name, table, sql in rows
        if not is_ordinary(kind, sql)
    }
    return Catalog({name.lower(): _table(sql, facts, name) for name, sql in definitions.items()}, others)


def is_ordinary(kind: str, sql: str) -> bool:
    """Tell whether an object is a table that is not virtual."""
    return kind == "table" and not sql[:14].upper().startswith("CREATE VIRTUAL")


def normal_object(sql: str) -> str:
    """Spell the DDL of anything but an ordinary table in one way."""
    text = sql_tokens.normal(sql_tokens.tokens(sql))
    return text.replace(" if not exists ", " ", 1)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What SQLite's pragmas tell, by table: rows of columns, of the columns of UNIQUEs, and of foreign keys."""

    columns: Mapping[str, _Rows]
    uniques: Mapping[str, _Rows]
    foreign_keys: Mapping[str, _Rows]


def _read_facts(database: peewee.SqliteDatabase, tables: Sequence[str] | None) -> _Facts:
    def by_table(columns: str, source: str, rest: str = "") -> Mapping[str, _Rows]:
        # One statement for all tables: one for each of them would take longer than all the rest.
        named = "" if tables is None else f"AND m.name IN ({', '.join('?' * len(tables))}) "
        found: dict[str, list[Sequence[Any]]] = defaultdict(list)
        for name, *row in database.execute_sql(
            f"SELECT m.name, {columns} FROM sqlite_master AS m, {source} "  # noqa: S608
            f"WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' {named}{rest}",
            tables or (),
        ).fetchall():
            found[name].append(row)
        return found

    return _Facts(
        by_table(
            'c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden', "pragma_table_xinfo(m.name, 'main') AS c"
        ),
        by_table(
            "i.name, k.name",
            "pragma_index_list(m.name, 'main') AS i, pragma_index_info(i.name, 'main') AS k",
            "AND i.origin = 'u' ORDER BY k.seqno",
        ),
        by_table(
            'f.id, f."table", f."from", f."to", f.on_update, f.on_delete',
            "pragma_foreign_key_list(m.name, 'main') AS f",
            "ORDER BY f.seq",
        ),
    )


def _table(sql: str, facts: _Facts, name: str) -> Table:
    parsed = sql_tokens.parse_table(sql)
    definitions = {sql_tokens.name_of(part[0]).lower(): part for part in parsed.columns}
    columns = {}
    for column, type_, not_null, default, key, hidden in facts.columns[name]:
        part = definitions.get(column.lower(), ())
        columns[column.lower()] = Column(
            _normal_type(type_),
            bool(not_null),
            _normal_default(default),
            key,
            _collation(part),
            _generated(part, hidden),
        )
    checks = [
        sql_tokens.normal(check)
        for part in (*parsed.columns, *parsed.constraints)
        for check in sql_tokens.after(part, "check")
    ]
    options = sql_tokens.normal(parsed.options).split(" , ") if parsed.options else []
    if any(token.says("autoincrement") for part in parsed.columns for token in part):
        options.append("autoincrement")
    key = [name for name, column in columns.items() if column.primary_key]
    if len(key) == 1 and columns[key[0]].type == "INTEGER" and "without rowid" not in options:
        columns[key[0]] = replace(columns[key[0]], not_null=True)  # it is the rowid, which is never NULL
    return Table(
        columns,
        tuple(sorted(checks)),
        _uniques(facts.uniques.get(name, ())),
        _foreign_keys(facts.foreign_keys.get(name, ()), _deferred(parsed)),
        tuple(sorted(options)),
    )


@lru_cache(maxsize=1000)
def _normal_type(declared: str) -> str:
    # SQLite leaves comments in, and with them the words after a generated column's type.
    words = sql_tokens.normal(sql_tokens.tokens(declared)).upper().replace(" ( ", "(").replace(" )", ")")
    return words.removesuffix(" ALWAYS").removesuffix(" GENERATED")


@lru_cache(maxsize=1000)
def _normal_default(default: str | None) -> str | None:
    if default is None:
        return None
    parts = sql_tokens.tokens(default)
    while len(parts) > 1 and parts[0].says("(") and sql_tokens.closing_of(parts, 0) == len(parts) - 1:
        parts = parts[1:-1]
    return sql_tokens.normal(parts)


def _collation(part: tuple[sql_tokens.Token, ...]) -> str | None:
    for index, token in enumerate(part[:-1]):
        if token.says("collate"):
            return sql_tokens.name_of(part[index + 1]).lower()
    return None


def _generated(part: tuple[sql_tokens.Token, ...], hidden: int) -> str | None:
    if hidden not in (2, 3):  # sqlite.org/pragma.html#pragma_table_xinfo: 2 virtual, 3 stored
        return None
    return f"{sql_tokens.normal(sql_tokens.after(part, 'as')[0])} {'virtual' if hidden == 2 else 'stored'}"  # noqa: PLR2004


def _uniques(rows: _Rows) -> tuple[tuple[str, ...], ...]:
    grouped: dict[str, list[str]] = {}
    for index, column in rows:
        grouped.setdefault(index, []).append(column.lower())
    return tuple(sorted(tuple(columns) for columns in grouped.values()))


def _deferred(parsed: sql_tokens.CreateTable) -> set[tuple[str, ...]]:
    """Give the columns of each foreign key that is DEFERRABLE INITIALLY DEFERRED, which no pragma tells."""
    found = set()
    for part in (*parsed.columns, *parsed.constraints):
        words = " ".join(token.text.lower() for token in part if token.kind == "word")
        if "deferrable initially deferred" in words and "not deferrable" not in words:
            keys = sql_tokens.after(part, "key") if part in parsed.constraints else [part[:1]]
            found.add(tuple(sql_tokens.name_of(token).lower() for token in keys[0] if not token.says(",")))
    return found


def _foreign_keys(rows: _Rows, deferred: set[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[Sequence[Any]]] = {}
    for key, *row in rows:
        grouped.setdefault(key, []).append(row)
    found = []
    for group in grouped.values():
        table, _, _, on_update, on_delete = group[0]
        columns = tuple(row[1].lower() for row in group)
        targets = tuple((row[2] or "primary key").lower() for row in group)
        actions = on_delete.lower(), on_update.lower()
        found.append(ForeignKey(columns, table.lower(), targets, *actions, columns in deferred))
    return tuple(sorted(found))
