"""The SQL functions that read compacted texts.

    usage_json(snapshot_data)           the text of a snapshot; NULL if it cannot be read
    usage_json(snapshot_data, block)    the same, from a block that the statement has read
    usage_text(snapshot_data, block)    the same; if the text cannot be read, a blob with the reason, for the models

An SQL function does not know which connection calls it. So the SQL of the models reads the block and passes it to the
function, and the block always comes from the right database. The first form is for hand-written SQL. It reads the block
by a connection that was chosen when the function was registered.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.driver import frees_functions_without_lock
from usage_store.errors import DamagedSnapshot
from usage_store.models.fields.unreadable_text import text_or_why
from usage_store.models.sqlite.rows import block_format

if TYPE_CHECKING:
    from collections.abc import Callable

    import peewee

# The text, with the column, the function and the schema as parameters. The statement itself reads the row's block.
_TEXT = (
    "CASE typeof({0}) WHEN 'blob' THEN {1}({0}, "
    "(SELECT data FROM {2}usage_snapshot_blocks WHERE id = CAST({0} AS INTEGER))) ELSE {0} END"
)

_kept: list[object] = []  # never freed: see `frees_functions_without_lock`


def register_usage_json(connection: Any) -> None:
    """Register the SQL function `usage_json(snapshot_data)` on a connection of any driver.

    The function returns the text of a snapshot, compacted or not, and NULL if the text cannot be read. It reads the
    blocks of the connection's main database. For an attached database, pass the block too: `usage_json(snapshot_data,
    (SELECT data FROM other.usage_snapshot_blocks WHERE id = CAST(snapshot_data AS INTEGER)))`. Connections of a
    database that was passed to or returned by init_database() already have the function. Close the connection when you
    do not need it any more, because the function holds a reference to the connection until then.
    """
    connection.create_function("usage_json", -1, _usage_json(lambda: connection))


def prepare(database: peewee.SqliteDatabase) -> None:
    """Register the SQL functions for all future connections of a database, and on the connection of this thread.

    This also works for a database that init_database() does not know, and for a connection that is open already.
    """
    # Peewee reads this dict for each new connection. register_function() is not used, because it registers all
    # functions of the application again, and fails while a statement uses one of them. The dict is replaced and not
    # changed, because another thread may be connecting.
    of_peewee: Any = database
    functions: dict[str, tuple[Callable[..., object], int, bool | None]] = of_peewee._functions  # noqa: SLF001
    if "usage_text" not in functions:
        known = weakref.ref(database)  # the function must not keep the database and its connections alive
        usage_json = _usage_json(lambda: None if (used := known()) is None else used.connection())
        functions = {**functions, "usage_json": (usage_json, -1, None), "usage_text": (_usage_text, 2, None)}
        of_peewee._functions = functions  # noqa: SLF001
    if database.is_closed():
        return
    connection: Any = database.connection()
    try:
        connection.execute("SELECT usage_text(NULL, NULL)").close()
    except connection.OperationalError:
        for name in ("usage_json", "usage_text"):
            # If the function exists already, SQLite refuses to replace it while a statement runs.
            with suppress(connection.OperationalError):
                connection.create_function(name, functions[name][1], functions[name][0])


def write_text(ctx: Any, column: peewee.Node, function: str, schema: str | None) -> Any:
    """Write the SQL expression for the text of a snapshot, and return the context."""
    sql = ctx._sql  # noqa: SLF001  the SQL written so far: the column is written once and copied, which is faster
    begun = len(sql)
    ctx.sql(column)
    sql[begun:] = [_TEXT.format("".join(sql[begun:]), function, f'"{schema}".' if schema else "")]
    return ctx


def _usage_text(stored: Any, block: Any) -> Any:
    return text_or_why(lambda: block_format.text(stored, block)) if isinstance(stored, bytes) else stored


def _usage_json(connection: Callable[[], Any]) -> Callable[..., object]:
    def usage_json(stored: Any, *block: Any) -> Any:
        if not isinstance(stored, bytes):
            return stored
        try:
            return block_format.text(stored, *block) if block else text_by_connection(connection(), stored)
        except DamagedSnapshot:
            return None

    if frees_functions_without_lock():
        _kept.append(usage_json)
    return usage_json


def text_by_connection(connection: Any, stored: bytes) -> str:
    """Return the text for a stored reference, from a block that this connection reads. Reads only.

    Raises DamagedSnapshot if the block or the text cannot be read.
    """
    try:
        sql = f"SELECT {block_format.BLOCK} FROM (SELECT ? AS snapshot_data)"  # noqa: S608
        cursor = connection.execute(sql, (stored,))
        cursor.row_factory = None  # the application may have set one
        found = cursor.fetchone()
    except connection.Error as error:
        raise DamagedSnapshot(f"its block cannot be read ({error})") from error
    return block_format.text(stored, *found)
