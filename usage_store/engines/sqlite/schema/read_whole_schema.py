"""What the schema of a live SQLite database is, and how two schemas differ, in a person's words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_differences import Catalog, Column, ForeignKey, Table
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.sql_tokens import quoted

if TYPE_CHECKING:
    import peewee


def read_catalog(database: peewee.SqliteDatabase) -> Catalog:
    """Read the whole schema, SQLite's own tables left out. Reads only."""
    rows = database.execute_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master "
        "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    ).fetchall()
    tables = {
        name.lower(): _read_table(database, name, sql)
        for kind, name, _, sql in rows
        if kind == "table" and not sql[:14].upper().startswith("CREATE VIRTUAL")
    }
    others = {
        name.lower(): (kind, table.lower(), _normal_object(sql))
        for kind, name, table, sql in rows
        if kind != "table" or sql[:14].upper().startswith("CREATE VIRTUAL")
    }
    return Catalog(tables, others)


def _normal_object(sql: str) -> str:
    text = sql_tokens.normal(sql_tokens.tokens(sql))
    return text.replace(" if not exists ", " ", 1)


def _read_table(database: peewee.SqliteDatabase, name: str, sql: str) -> Table:
    parsed = sql_tokens.parse_table(sql)
    definitions = {sql_tokens.name_of(part[0]).lower(): part for part in parsed.columns}
    columns = {}
    for _, column, type_, not_null, default, key, hidden in database.execute_sql(f"PRAGMA table_xinfo({quoted(name)})"):
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
        _uniques(database, name),
        _foreign_keys(database, name, _deferred(parsed)),
        tuple(sorted(options)),
    )


def _normal_type(declared: str) -> str:
    # SQLite leaves comments in, and with them the words after a generated column's type.
    words = sql_tokens.normal(sql_tokens.tokens(declared)).upper().replace(" ( ", "(").replace(" )", ")")
    return words.removesuffix(" ALWAYS").removesuffix(" GENERATED")


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


def _uniques(database: peewee.SqliteDatabase, name: str) -> tuple[tuple[str, ...], ...]:
    found = []
    for _, index, unique, origin, *_ in database.execute_sql(f"PRAGMA index_list({quoted(name)})").fetchall():
        if unique and origin == "u":
            info = database.execute_sql(f"PRAGMA index_info({quoted(index)})").fetchall()
            found.append(tuple(row[2].lower() for row in info))
    return tuple(sorted(found))


def _deferred(parsed: sql_tokens.CreateTable) -> set[tuple[str, ...]]:
    """Give the columns of each foreign key that is DEFERRABLE INITIALLY DEFERRED, which no pragma tells."""
    found = set()
    for part in (*parsed.columns, *parsed.constraints):
        words = " ".join(token.text.lower() for token in part if token.kind == "word")
        if "deferrable initially deferred" in words and "not deferrable" not in words:
            keys = sql_tokens.after(part, "key") if part in parsed.constraints else [part[:1]]
            found.add(tuple(sql_tokens.name_of(token).lower() for token in keys[0] if not token.says(",")))
    return found


def _foreign_keys(database: peewee.SqliteDatabase, name: str, deferred: set[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[list[str]]] = {}
    for key, _, *row, _ in database.execute_sql(f"PRAGMA foreign_key_list({quoted(name)})"):
        grouped.setdefault(key, []).append(row)
    found = []
    for rows in grouped.values():
        table, _, _, on_update, on_delete = rows[0]
        columns = tuple(row[1].lower() for row in rows)
        targets = tuple((row[2] or "primary key").lower() for row in rows)
        actions = on_delete.lower(), on_update.lower()
        found.append(ForeignKey(columns, table.lower(), targets, *actions, columns in deferred))
    return tuple(sorted(found))
