"""Drop a column, alone or together with its own indexes, UNIQUE and foreign key."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.schema import edit_create_table, sql_tokens
from usage_store.engines.sqlite.schema.rebuild_table import rebuild
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted
from usage_store.engines.sqlite.schema.table_definition import StoredTable, columns_of, stored_table, users_of
from usage_store.errors import ImpossibleChange

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

logger = logging.getLogger("usage_store.migrate")


def drop_column(
    database: peewee.SqliteDatabase, table: str, column: str, *, with_own: bool, with_unique: bool = False
) -> None:
    """Drop a column and its values.

    With `with_own`, this also drops the FOREIGN KEY, UNIQUE and indexes of this column alone, and indexes over this and
    other columns. With `with_unique`, it also drops UNIQUE indexes over this and other columns, with a warning. Raises
    ImpossibleChange, and changes nothing, while anything else uses the column.
    """
    stored = stored_table(database, table)
    part = edit_create_table.column_part(stored.sql, column)
    kinds = {clause.kind for clause in edit_create_table.clauses(part[1:])}
    own = _indexes(database, stored, column, with_unique=with_unique) if with_own else {}
    left = [user for user in users_of(database, table, column, but_own_rules=with_own) if user not in own]
    if left:
        reason = f"{stored.name}: column {column!r} cannot be dropped; in use by {', '.join(left)}"
        raise ImpossibleChange(reason + _help(database, stored, column, left))
    if "unique" in kinds and not with_own:
        raise ImpossibleChange(
            f"{stored.name}: cannot drop UNIQUE column {column!r}; drop_column(..., cascade=True) can"
        )
    with write_transaction(database):
        for index, level in own.values():
            database.execute_sql(f"DROP INDEX main.{quoted(index)}")
            logger.log(level, "%s: index %s was dropped with column %s", stored.name, index, column)
        sql = edit_create_table.drop_own_rules(stored.sql, column) if with_own else stored.sql
        # For the last column, DROP COLUMN cuts the text at the last comma before it, which may be a comma in a comment.
        if "primary" not in kinds and (
            sql != stored.sql or "unique" in kinds or edit_create_table.follows_comment(sql, column)
        ):
            rebuild(database, table, edit_create_table.drop_column(sql, column), drop=[column])
        else:
            database.execute_sql(f"ALTER TABLE {quoted(stored.name)} DROP COLUMN {quoted(column)}")


def _indexes(
    database: peewee.SqliteDatabase, table: StoredTable, column: str, *, with_unique: bool
) -> dict[str, tuple[str, int]]:
    """Return the indexes that may be dropped with a column, by the names that `users_of` gives them.

    Each value is the name of the index and the logging level for its drop.
    """
    columns = {fold(name) for name in columns_of(database, table.name)}
    rows = database.execute_sql(
        "SELECT i.name, i.\"unique\", m.sql FROM pragma_index_list(?, 'main') AS i "
        "JOIN sqlite_master AS m ON m.type = 'index' AND m.name = i.name WHERE i.origin = 'c'",
        (table.name,),
    ).fetchall()
    found = {}
    for name, unique, sql in rows:
        every = sql_tokens.tokens(sql)
        opening = next(index for index, token in enumerate(every) if token.says("("))
        over = {fold(sql_tokens.name_of(token)) for token in every[opening:]} & columns
        others = over - {fold(column)}
        if over != others and (with_unique or not unique or not others):
            found[f"index {name}"] = name, logging.WARNING if unique and others else logging.INFO
    return found


def _help(database: peewee.SqliteDatabase, table: StoredTable, column: str, users: Collection[str]) -> str:
    """Name the calls that drop the column, if only indexes and the column's own rules prevent it."""
    indexes = _indexes(database, table, column, with_unique=True)
    own = _indexes(database, table, column, with_unique=False)
    if not {*users_of(database, table.name, column, but_own_rules=True)} <= indexes.keys():
        return ""
    part = edit_create_table.column_part(table.sql, column)
    rules = {clause.kind for clause in edit_create_table.clauses(part[1:])}
    rules.update(edit_create_table.own_rules(table.sql, column))
    calls = [f"drop_index({table.name!r}, {indexes[user][0]!r})" for user in users if user in indexes]
    if "foreign" in rules:
        calls.append(f"drop_foreign_key_constraint({table.name!r}, {column!r})")
    ways = [] if "unique" in rules else [f"{' and '.join(calls)} before it"]
    ways += (
        [f"drop_column({table.name!r}, {column!r}, cascade=True)"] if {*users} & indexes.keys() <= own.keys() else []
    )
    return f"; what helps: {' or '.join(ways)}" if ways else ""
