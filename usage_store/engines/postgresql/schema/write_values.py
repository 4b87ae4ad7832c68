"""Write peewee's nodes and values as SQL text. Definitions cannot have parameters."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import peewee

from usage_store.engines.interface.schema_objects import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACES = re.compile(r"%(.)", re.DOTALL)
_STRING = re.compile(r"[eE]?'(?:[^']|'')*'(?:::[\w \[\](),]+)?")
_CALL = re.compile(r"[\w.]*\(")


def named(*names: str | None) -> str:
    """Write a name, or a schema and a name, for `execute_sql`, which reads `%%` as `%`."""
    return ".".join(quoted(name) for name in names if name).replace("%", "%%")


def sql_of(database: peewee.PostgresqlDatabase, node: Any) -> str:
    """Write a node as SQL for `execute_sql`, with its values in the text and each `%` of a value doubled."""
    sql, values = database.get_sql_context().sql(node).query()
    return with_values(database, sql, values)


def with_values(database: peewee.PostgresqlDatabase, sql: str, values: Iterable[Any]) -> str:
    """Put values in the places of the `%s`. The text stays one for `execute_sql`, so `%%` stays as it is."""
    left = iter(values or ())

    def place(found: re.Match[str]) -> str:
        return literal_of(database, next(left)).replace("%", "%%") if found[1] == "s" else found[0]

    return _PLACES.sub(place, sql)


def literal_of(database: peewee.PostgresqlDatabase, value: Any) -> str:
    """Write a value as SQL. The server quotes what is no number. Raises the errors of binding it as a parameter."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if isinstance(value, peewee.Node):
        return sql_of(database, value).replace("%%", "%")
    ((text,),) = database.execute_sql("SELECT quote_nullable(%s)", (value,)).fetchall()
    return cast("str", text).lstrip()


def default_of(database: peewee.PostgresqlDatabase, value: Any) -> str:
    """Write a value as the text after DEFAULT, for `execute_sql`.

    As in playhouse, a string counts as SQL if it is a function call, an expression in parentheses, or an SQL string in
    quotes.
    """
    if isinstance(value, peewee.Node):
        return sql_of(database, value)
    if isinstance(value, str) and (_STRING.fullmatch(value) or _is_enclosed(value)):
        return value
    return literal_of(database, value).replace("%", "%%")


def _is_enclosed(text: str) -> bool:
    """Return whether a text is one call or one expression in parentheses, from its first to its last letter."""
    opening = _CALL.match(text)
    if opening is None:
        return False
    depth = 0
    for part in re.finditer(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[()]", text):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if depth == 0 and part[0] == ")":
            return part.end() == len(text)
    return False
