"""Write SQLite definitions from peewee's fields, nodes and values. Definitions cannot have parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import peewee

from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.edit_create_table import clauses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playhouse.migrate import SqliteMigrator


def sql_of(migrator: SqliteMigrator, node: peewee.Node) -> str:
    """Write a node as SQL, with its values in the text."""
    return _with_values(migrator, *migrator.make_context().sql(node).query())


def definition_of(migrator: SqliteMigrator, field: peewee.Field) -> str:
    """Write a field as a column definition, with its foreign key."""
    context = migrator.make_context()
    context.sql(field.ddl(context))
    if isinstance(field, peewee.ForeignKeyField):
        migrator.add_inline_fk_sql(context, field)
        if field.deferrable:
            context.literal(f" DEFERRABLE {field.deferrable}")
    return _with_values(migrator, *context.query())


def default_of(migrator: SqliteMigrator, value: Any) -> str:
    """Write a value as the text after DEFAULT.

    As in playhouse, a string counts as SQL if it is a function call, an expression in parentheses, or an SQL string in
    quotes.
    """
    if isinstance(value, peewee.Node):
        text = sql_of(migrator, value)
    else:
        text = value if isinstance(value, str) and _is_sql(value) else _literal(migrator, value)
    parts = sql_tokens.tokens(text)
    signed = parts[0].says("+", "-")
    enclosed = parts[0].says("(") and sql_tokens.closing_of(parts, 0) == len(parts) - 1
    return text if enclosed or len(parts) == 1 + signed else f"({text})"


def needs_rebuild(definition: str) -> bool:
    """Return whether a column definition needs a rebuild of the table because ADD COLUMN may refuse it.

    ADD COLUMN refuses some definitions on a table with rows, and some always. The rules are those of
    sqlite.org/lang_altertable.html#altertabaddcol.
    """
    for clause in clauses(sql_tokens.tokens(definition)[1:]):
        words = [token.text.lower() for token in clause.tokens]
        if clause.kind == "default":
            value = words[words.index("default") + 1]
            if value == "(" or value.startswith("current_"):
                return True
        elif clause.kind == "unique" or (clause.kind in ("generated", "as") and words[-1] == "stored"):
            return True
    return False


def _with_values(migrator: SqliteMigrator, sql: str, values: Sequence[Any]) -> str:
    places = [token for token in sql_tokens.tokens(sql) if token.says("?")]
    for place, value in reversed(list(zip(places, values, strict=True))):
        sql = sql[: place.start] + _literal(migrator, value) + sql[place.end :]
    return sql


def literal_of(database: peewee.SqliteDatabase, value: Any) -> str:
    """Write a value as SQL. Raises the errors of binding it as a parameter."""
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"  # quote() writes Inf, which SQL reads as a name
    if isinstance(value, str) and "\0" in value:
        return f"CAST(X'{value.encode().hex()}' AS TEXT)"  # quote() stops at the NUL
    ((text,),) = database.execute_sql("SELECT quote(?)", (value,)).fetchall()
    return cast("str", text)


def _literal(migrator: SqliteMigrator, value: Any) -> str:
    bound = value if value is None or isinstance(value, (int, float, str, bytes)) else str(value)
    return literal_of(migrator.database, bound)


def _is_sql(text: str) -> bool:
    parts = sql_tokens.tokens(text)
    if not parts or parts[0].kind == "string":
        return len(parts) == 1
    opening = 0 if parts[0].says("(") else 1
    if opening and not (parts[0].kind == "word" and parts[1:] and parts[1].start == parts[0].end):
        return False
    try:
        return parts[opening].says("(") and sql_tokens.closing_of(parts, opening) == len(parts) - 1
    except ValueError:
        return False
