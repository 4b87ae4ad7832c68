"""Rename tables and columns in what was read, so that the rest is compared under the new names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from usage_store.engines.interface.models_and_tables import check_known, check_rename, rename_column, rename_table
from usage_store.engines.interface.table_changes import Change
from usage_store.engines.postgresql.from_models.read_tables import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import peewee

    from usage_store.engines.interface.schema_differences import Table
    from usage_store.engines.postgresql.from_models.read_tables import ServerTable

_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\W\d][\w$]*|.", re.DOTALL)


def renamed(
    database: peewee.PostgresqlDatabase, live: Schema, wanted: Schema, renames: Mapping[str, str]
) -> tuple[Schema, list[Change]]:
    """Return the live schema under its new names, and the changes that rename. Raises ConfigurationError."""
    changes = []
    columns = {old: new for old, new in renames.items() if "." in old and old not in live.tables}
    for old, new in renames.items():
        if old not in columns:
            check_rename(f"{old}:{new}", "table", (old, live.shapes()), (new, wanted.tables))
            changes.append(Change((_sql(rename_table(old, new)),), (_sql(rename_table(new, old)),), drops=(old,)))
            live = _with_table_renamed(live, old, new, _in_sql(database, old, new))
    for path, new in columns.items():
        table, _, old = path.rpartition(".")
        table = renames.get(table, table)
        check_known(f"{path}:{new}", "table", (table, live.shapes()), (table, wanted.tables))
        there, needed = live.tables[table].table.columns, wanted.tables[table].table.columns
        check_rename(f"{path}:{new}", "column", (old, there), (new, needed))
        changes.append(Change((_sql(rename_column(table, old, new)),), (_sql(rename_column(table, new, old)),)))
        live = _with_column_renamed(live, table, (old, new), _in_sql(database, old, new))
    return live, changes


def _in_sql(database: peewee.PostgresqlDatabase, old: str, new: str) -> Callable[[str], str]:
    """Return the function that replaces one name in the server's SQL by another."""
    (quotes,) = database.execute_sql("SELECT quote_ident(%s), quote_ident(%s)", (old, new)).fetchall()

    def replaced(sql: str) -> str:
        tokens = _TOKENS.findall(sql)
        after = [*tokens[1:], ""]
        return "".join(
            quotes[1] if token == quotes[0] and following != "(" else token
            for token, following in zip(tokens, after, strict=True)
        )

    return replaced


def _with_table_renamed(live: Schema, old: str, new: str, in_sql: Callable[[str], str]) -> Schema:
    tables = {}
    for name, each in live.tables.items():
        keys = tuple(sorted(replace(key, table=new) if key.table == old else key for key in each.table.foreign_keys))
        constraints = {
            rule_name: rule._replace(sql=_in_reference(rule.sql, in_sql)) if rule.kind == "f" else rule
            for rule_name, rule in each.constraints.items()
        }
        changed = replace(each, table=replace(each.table, foreign_keys=keys), constraints=constraints)
        if name == old:
            indexes = {
                index_name: index._replace(sql=_in_head(index.sql, in_sql))
                for index_name, index in each.indexes.items()
            }
            changed = replace(changed, name=new, indexes=indexes)
        tables[changed.name] = changed
    kinds = {new if name == old else name: kind for name, kind in live.kinds.items()}
    return Schema(tables, kinds)


def _in_reference(sql: str, in_sql: Callable[[str], str]) -> str:
    head, word, rest = sql.partition(" REFERENCES ")
    table, opening, columns = rest.partition("(")
    return head + word + in_sql(table) + opening + columns


def _in_head(sql: str, in_sql: Callable[[str], str]) -> str:
    head, word, rest = sql.partition(" USING ")
    index, on, table = head.rpartition(" ON ")
    return index + on + in_sql(table) + word + rest


def _with_column_renamed(live: Schema, table: str, names: tuple[str, str], in_sql: Callable[[str], str]) -> Schema:
    old, new = names
    tables = dict(live.tables)
    for name, each in live.tables.items():
        referring = {
            rule_name: rule._replace(sql=_in_targets(rule.sql, in_sql))
            for rule_name, rule in each.constraints.items()
            if rule.kind == "f" and _target(rule.sql) == _target_of(each, table)
        }
        keys = tuple(
            replace(key, targets=_each(key.targets, old, new)) if key.table == table else key
            for key in each.table.foreign_keys
        )
        tables[name] = replace(
            each, table=replace(each.table, foreign_keys=keys), constraints={**each.constraints, **referring}
        )
    tables[table] = _own_column_renamed(tables[table], old, new, in_sql)
    return Schema(tables, live.kinds)


def _target(sql: str) -> str:
    return sql.partition(" REFERENCES ")[2].partition("(")[0].strip('"')


def _target_of(_each: ServerTable, table: str) -> str:
    return table.replace('"', '""')


def _in_targets(sql: str, in_sql: Callable[[str], str]) -> str:
    head, word, rest = sql.partition(" REFERENCES ")
    table, opening, columns = rest.partition("(")
    return head + word + table + opening + in_sql(columns)


def _own_column_renamed(each: ServerTable, old: str, new: str, in_sql: Callable[[str], str]) -> ServerTable:
    def own(sql: str) -> str:
        head, word, rest = sql.partition(" REFERENCES ")
        return in_sql(head) + word + rest

    def of_index(sql: str) -> str:
        head, word, rest = sql.partition(" USING ")
        return head + word + in_sql(rest)

    return replace(
        each,
        table=_table(each.table, old, new, in_sql),
        constraints={
            name: rule._replace(sql=own(rule.sql), columns=_each(rule.columns, old, new))
            for name, rule in each.constraints.items()
        },
        serials={new if name == old else name: default for name, default in each.serials.items()},
        indexes={
            name: index._replace(sql=of_index(index.sql), columns=_each(index.columns, old, new))
            for name, index in each.indexes.items()
        },
    )


def _table(table: Table, old: str, new: str, in_sql: Callable[[str], str]) -> Table:
    return replace(
        table,
        columns={
            new if name == old else name: replace(column, generated=column.generated and in_sql(column.generated))
            for name, column in table.columns.items()
        },
        checks=tuple(sorted(map(in_sql, table.checks))),
        uniques=tuple(sorted(_each(columns, old, new) for columns in table.uniques)),
        foreign_keys=tuple(sorted(replace(key, columns=_each(key.columns, old, new)) for key in table.foreign_keys)),
    )


def _each(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in names)


def _sql(text: str) -> str:
    return text.replace("%", "%%")
