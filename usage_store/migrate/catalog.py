"""What the schema of a live SQLite database is, and how two schemas differ, in a person's words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from usage_store.migrate import ddl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import peewee

__all__ = ["Catalog", "Column", "ForeignKey", "Table", "differences", "read_catalog"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `primary_key` is its place in the key, from 1, or 0."""

    type: str
    not_null: bool
    default: str | None
    primary_key: int
    collation: str | None
    generated: str | None


@dataclass(frozen=True, slots=True, order=True)
class ForeignKey:
    """A foreign key, its actions, and whether it is checked at COMMIT only."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]
    on_delete: str
    on_update: str
    deferred: bool

    def __str__(self) -> str:
        target = f"{self.table} ({', '.join(self.targets)})"
        actions = f"on delete {self.on_delete} on update {self.on_update}"
        return f"foreign key ({', '.join(self.columns)}) to {target} {actions}{' deferred' * self.deferred}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: columns by name, and the rules it holds, each sorted."""

    columns: Mapping[str, Column]
    checks: tuple[str, ...]
    uniques: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every object of a database by its lower-case name; `others` are indexes, triggers and views.

    An entry of `others` is its kind, its table and its normalised SQL.
    """

    tables: Mapping[str, Table]
    others: Mapping[str, tuple[str, str, str]]

    def changed_since(self, before: Catalog) -> Catalog:
        """Give what is new or different here."""
        return Catalog(
            {name: table for name, table in self.tables.items() if before.tables.get(name) != table},
            {name: other for name, other in self.others.items() if before.others.get(name) != other},
        )


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
    text = ddl.normal(ddl.tokens(sql))
    return text.replace(" if not exists ", " ", 1)


def _read_table(database: peewee.SqliteDatabase, name: str, sql: str) -> Table:
    quoted = '"' + name.replace('"', '""') + '"'
    parsed = ddl.parse_table(sql)
    definitions = {ddl.name_of(part[0]).lower(): part for part in parsed.columns}
    columns = {}
    for _, column, type_, not_null, default, key, hidden in database.execute_sql(f"PRAGMA table_xinfo({quoted})"):
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
        ddl.normal(check) for part in (*parsed.columns, *parsed.constraints) for check in ddl.after(part, "check")
    ]
    options = ddl.normal(parsed.options).split(" , ") if parsed.options else []
    if any(token.says("autoincrement") for part in parsed.columns for token in part):
        options.append("autoincrement")
    key = [name for name, column in columns.items() if column.primary_key]
    if len(key) == 1 and columns[key[0]].type == "INTEGER" and "without rowid" not in options:
        columns[key[0]] = replace(columns[key[0]], not_null=True)  # it is the rowid, which is never NULL
    return Table(
        columns,
        tuple(sorted(checks)),
        _uniques(database, quoted),
        _foreign_keys(database, name, _deferred(parsed)),
        tuple(sorted(options)),
    )


def _normal_type(declared: str) -> str:
    # SQLite leaves comments in, and with them the words after a generated column's type.
    words = ddl.normal(ddl.tokens(declared)).upper().replace(" ( ", "(").replace(" )", ")")
    return words.removesuffix(" ALWAYS").removesuffix(" GENERATED")


def _normal_default(default: str | None) -> str | None:
    if default is None:
        return None
    parts = ddl.tokens(default)
    while len(parts) > 1 and parts[0].says("(") and ddl.closing_of(parts, 0) == len(parts) - 1:
        parts = parts[1:-1]
    return ddl.normal(parts)


def _collation(part: tuple[ddl.Token, ...]) -> str | None:
    for index, token in enumerate(part[:-1]):
        if token.says("collate"):
            return ddl.name_of(part[index + 1]).lower()
    return None


def _generated(part: tuple[ddl.Token, ...], hidden: int) -> str | None:
    if hidden not in (2, 3):  # sqlite.org/pragma.html#pragma_table_xinfo: 2 virtual, 3 stored
        return None
    return f"{ddl.normal(ddl.after(part, 'as')[0])} {'virtual' if hidden == 2 else 'stored'}"  # noqa: PLR2004


def _uniques(database: peewee.SqliteDatabase, quoted: str) -> tuple[tuple[str, ...], ...]:
    found = []
    for _, index, unique, origin, *_ in database.execute_sql(f"PRAGMA index_list({quoted})").fetchall():
        if unique and origin == "u":
            escaped = index.replace('"', '""')
            info = database.execute_sql(f'PRAGMA index_info("{escaped}")').fetchall()
            found.append(tuple(row[2].lower() for row in info))
    return tuple(sorted(found))


def _deferred(parsed: ddl.CreateTable) -> set[tuple[str, ...]]:
    """Give the columns of each foreign key that is DEFERRABLE INITIALLY DEFERRED, which no pragma tells."""
    found = set()
    for part in (*parsed.columns, *parsed.constraints):
        words = " ".join(token.text.lower() for token in part if token.kind == "word")
        if "deferrable initially deferred" in words and "not deferrable" not in words:
            keys = ddl.after(part, "key") if part in parsed.constraints else [part[:1]]
            found.add(tuple(ddl.name_of(token).lower() for token in keys[0] if not token.says(",")))
    return found


def _foreign_keys(database: peewee.SqliteDatabase, name: str, deferred: set[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[list[str]]] = {}
    quoted = name.replace('"', '""')
    for key, _, *row, _ in database.execute_sql(f'PRAGMA foreign_key_list("{quoted}")'):
        grouped.setdefault(key, []).append(row)
    found = []
    for rows in grouped.values():
        table, _, _, on_update, on_delete = rows[0]
        columns = tuple(row[1].lower() for row in rows)
        targets = tuple((row[2] or "primary key").lower() for row in rows)
        actions = on_delete.lower(), on_update.lower()
        found.append(ForeignKey(columns, table.lower(), targets, *actions, columns in deferred))
    return tuple(sorted(found))


def differences(expected: Catalog, live: Catalog) -> list[str]:
    """Name each way in which the live schema is not the expected one, as a line each.

    Only tables that are expected are looked at, with the indexes and triggers on them.
    """
    lines: list[str] = []
    for name, table in expected.tables.items():
        if name in live.tables:
            lines += (f"{name}{line}" for line in _table_differences(table, live.tables[name]))
        else:
            lines.append(f"table {name} is missing")
    for name, (kind, table_name, sql) in expected.others.items():
        found = live.others.get(name)
        if found is None:
            lines.append(f"{kind} {name} on {table_name} is missing" if kind != "view" else f"view {name} is missing")
        elif found[2] != sql:
            lines.append(f"{kind} {name} is `{found[2]}`, should be `{sql}`")
    lines += (
        f"{kind} {name} on {table_name} is not from a migration"
        for name, (kind, table_name, _) in live.others.items()
        if table_name in expected.tables and name not in expected.others
    )
    return lines


def _table_differences(expected: Table, live: Table) -> Iterator[str]:
    for name, column in expected.columns.items():
        if name in live.columns:
            yield from (f".{name}: {line}" for line in _column_differences(column, live.columns[name]))
        else:
            yield f".{name} is missing"
    yield from (f".{name} is not from a migration" for name in live.columns if name not in expected.columns)
    for label, wanted, there in (
        ("CHECK", expected.checks, live.checks),
        ("UNIQUE", [", ".join(unique) for unique in expected.uniques], [", ".join(unique) for unique in live.uniques]),
        ("", [str(key) for key in expected.foreign_keys], [str(key) for key in live.foreign_keys]),
        ("option", expected.options, live.options),
    ):
        shown = f"{label} ({{}})" if label else "{}"
        yield from (f": {shown.format(rule)} is missing" for rule in wanted if rule not in there)
        yield from (f": {shown.format(rule)} is not from a migration" for rule in there if rule not in wanted)


def _column_differences(expected: Column, live: Column) -> Iterator[str]:
    for label, wanted, there in (
        ("type", expected.type or "none", live.type or "none"),
        ("NULL", _null(expected), _null(live)),
        ("default", expected.default or "none", live.default or "none"),
        ("place in the primary key", expected.primary_key, live.primary_key),
        ("collation", expected.collation or "none", live.collation or "none"),
        ("generated as", expected.generated or "none", live.generated or "none"),
    ):
        if wanted != there:
            yield f"{label} is {there}, should be {wanted}"


def _null(column: Column) -> str:
    return "not allowed" if column.not_null else "allowed"
