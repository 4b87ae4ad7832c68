"""Read the schema of a live SQLite database, or some objects of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.interface.schema_differences import Catalog, Column, ForeignKey, Table
from usage_store.engines.interface.schema_objects import text_literal
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.written_rules import written_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import peewee

    _Rows = Sequence[Sequence[Any]]

_GENERATED = {2: "virtual", 3: "stored"}  # sqlite.org/pragma.html#pragma_table_xinfo
_CONSTANTS = ("null", "true", "false", "current_time", "current_date", "current_timestamp")
_FEW = 200  # up to so many tables, the query names each one; for more, it reads all


def read_catalog(database: peewee.SqliteDatabase, only: Collection[str] | None = None) -> Catalog:
    """Read the whole schema without SQLite's own tables. Reads only.

    With `only` (names in lower case), read only the objects with these names, and the indexes and triggers on these
    tables.
    """
    rows = database.execute_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    ).fetchall()
    if only is not None:
        wanted = frozenset(only)
        rows = [row for row in rows if row[1].lower() in wanted or row[2].lower() in wanted]
    definitions = {name: sql for kind, name, _, sql in rows if is_ordinary(kind, sql)}
    tables = list({*definitions, *(table for kind, _, table, _ in rows if kind == "index")})
    facts = _read_facts(database, None if only is None or len(tables) > _FEW else tables)
    others = {}
    strings = {}
    for kind, name, table, sql in rows:
        if not is_ordinary(kind, sql):
            tokens = sql_tokens.tokens(sql)
            others[name.lower()] = kind, table.lower(), normal_object(kind, tokens, facts.columns.get(table, ()))
            if '"' in sql and kind != "index":
                strings[name.lower()] = frozenset(token.text for token in sql_tokens.possible_strings(tokens))
    return Catalog({name.lower(): _table(sql, facts, name) for name, sql in definitions.items()}, others, strings)


def is_ordinary(kind: str, sql: str) -> bool:
    """Return whether an object is a table, but not a virtual one."""
    return kind == "table" and not sql[:14].upper().startswith("CREATE VIRTUAL")


def normal_object(kind: str, tokens: Sequence[sql_tokens.Token], columns: _Rows = ()) -> str:
    """Return the DDL of an index, trigger, view or virtual table in a normal spelling.

    For an index, `columns` are the columns of its table.
    """
    text = sql_tokens.normal(tokens)
    if kind == "index":
        opening = next(index for index, token in enumerate(tokens) if token.says("("))
        names = {column[0].lower() for column in columns}
        text = f"{sql_tokens.normal(tokens[:opening])} {sql_tokens.normal(tokens[opening:], names)}"
    return text.replace(" if not exists ", " ", 1)


@dataclass(frozen=True, slots=True)
class _Facts:
    """Results of SQLite's pragmas by table: its columns, the columns of its automatic indexes, its foreign keys."""

    columns: Mapping[str, _Rows]
    keys: Mapping[str, _Rows]
    foreign_keys: Mapping[str, _Rows]


def _read_facts(database: peewee.SqliteDatabase, tables: Sequence[str] | None) -> _Facts:
    def by_table(columns: str, source: str, rest: str = "") -> Mapping[str, _Rows]:
        # One statement for all tables is much faster than one statement for each table.
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
            "i.name, i.origin, k.name, k.coll, k.desc",
            "pragma_index_list(m.name, 'main') AS i, pragma_index_xinfo(i.name, 'main') AS k",
            "AND i.origin <> 'c' AND k.key ORDER BY k.seqno",
        ),
        by_table(
            'f.id, f."table", f."from", f."to", f.on_update, f.on_delete',
            "pragma_foreign_key_list(m.name, 'main') AS f",
            "ORDER BY f.seq",
        ),
    )


def _table(sql: str, facts: _Facts, name: str) -> Table:
    parsed = sql_tokens.parse_table(sql)
    written = written_rules(parsed)
    keys = _keys(facts.keys.get(name, ()))
    columns = {}
    for column, type_, not_null, default, key, hidden in facts.columns[name]:
        folded = column.lower()
        columns[folded] = Column(
            _normal_type(type_),
            bool(not_null),
            _normal_default(default),
            key,
            written.collations.get(folded),
            f"{written.generated[folded]} {_GENERATED[hidden]}" if hidden in _GENERATED else None,
        )
    options = sql_tokens.normal(parsed.options).split(" , ") if parsed.options else []
    if written.autoincrement:
        options.append("autoincrement")
    primary = [name for name, column in columns.items() if column.primary_key]
    if len(primary) == 1 and not any(origin == "pk" for origin, _ in keys):  # a primary key without an index
        columns[primary[0]] = replace(columns[primary[0]], not_null=True)  # is the rowid, which is never NULL
    return Table(
        columns,
        written.checks,
        tuple(sorted(tuple(column.name for column in key) for origin, key in keys if origin == "u")),
        _foreign_keys(facts.foreign_keys.get(name, ()), written.deferred),
        tuple(sorted(options)),
        tuple(sorted([*written.besides, *_orders(keys, columns)])),
        tuple(columns),
    )


class _KeyColumn(NamedTuple):
    name: str
    collation: str
    descending: bool


def _keys(rows: _Rows) -> list[tuple[str, list[_KeyColumn]]]:
    """Return the origin ("pk" or "u") and the columns of each index that SQLite made for a PRIMARY KEY or UNIQUE."""
    grouped: dict[str, tuple[str, list[_KeyColumn]]] = {}
    for index, origin, column, collation, descending in rows:
        _, key = grouped.setdefault(index, (origin, []))
        key.append(_KeyColumn(column.lower(), collation.lower(), bool(descending)))
    return list(grouped.values())


def _orders(keys: Iterable[tuple[str, list[_KeyColumn]]], columns: Mapping[str, Column]) -> Iterator[str]:
    """Write out the keys with a DESC column, or with a collation that is not the column's own."""
    for origin, key in keys:
        spelled = [
            name
            + ("" if collation == (columns[name].collation or "binary") else f" collate {collation}")
            + " desc" * descending
            for name, collation, descending in key
        ]
        if spelled != [column.name for column in key]:
            yield f"{'unique' if origin == 'u' else 'primary key'} ({', '.join(spelled)})"


@lru_cache(maxsize=1000)
def _normal_type(declared: str) -> str:
    # SQLite keeps comments in the type, and after a comment the words that follow the type of a generated column.
    words = sql_tokens.normal(sql_tokens.tokens(declared)).upper().replace(" ( ", "(").replace(" )", ")")
    return words.removesuffix(" ALWAYS").removesuffix(" GENERATED")


@lru_cache(maxsize=1000)
def _normal_default(default: str | None) -> str | None:
    if default is None:
        return None
    parts = sql_tokens.tokens(default)
    while len(parts) > 1 and parts[0].says("(") and sql_tokens.closing_of(parts, 0) == len(parts) - 1:
        parts = parts[1:-1]
    if len(parts) == 1 and parts[0].kind in ("word", "quoted") and not parts[0].says(*_CONSTANTS):
        return text_literal(sql_tokens.name_of(parts[0]))  # sqlite.org/quirks.html#dblquote
    return sql_tokens.normal(parts, ())


def _foreign_keys(rows: _Rows, deferred: Collection[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
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
