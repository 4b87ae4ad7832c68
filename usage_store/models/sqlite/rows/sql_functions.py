"""The SQL functions that read compacted texts, on every connection that needs them.

    usage_json(snapshot_data)           a snapshot's text; NULL for one that cannot be read
    usage_json(snapshot_data, block)    the same, from the block that the statement reads itself
    usage_text(snapshot_data, block)    the same; for one that cannot be read, a blob that says why, for the models

A function cannot tell which connection calls it. So the models' SQL reads the block, too, and the text is the row's
own, wherever the query runs. The first one is for people who write SQL: it reads blocks by a connection.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.driver import frees_functions_without_lock
from usage_store.errors import DamagedSnapshot
from usage_store.models.sqlite.rows import block_format

if TYPE_CHECKING:
    from collections.abc import Callable

    import peewee

WHY = b"\0"  # what a blob begins with that says why a text cannot be read

_kept: list[object] = []  # for ever: see `frees_functions_without_lock`


def text_or_why(read: Callable[[], str]) -> str | bytes:
    """Give what a function reads, or why it cannot."""
    try:
        return read()
    except DamagedSnapshot as damage:
        return WHY + str(damage).encode(errors="backslashreplace")


def register_usage_json(connection: Any) -> None:
    """Give a connection of any driver the SQL function `usage_json(snapshot_data)`.

    It gives the snapshot's text, compacted or not, and NULL where that cannot be read. It reads the blocks of the
    connection's main database; for those of an attached one, give it the block as well: `usage_json(snapshot_data,
    (SELECT data FROM other.usage_snapshot_blocks WHERE id = CAST(snapshot_data AS INTEGER)))`. Connections of a
    database that init_database() opened or adopted have it. Close the connection when you are done: the function keeps
    it until then.
    """
    connection.create_function("usage_json", -1, _usage_json(lambda: connection))


def prepare(database: peewee.SqliteDatabase) -> None:
    """See that the connections that a database will make have the functions, and the one that this thread has.

    That may be one of a database that init_database() never saw, or one that another thread opened before.
    """
    # Where peewee keeps those for new connections; register_function() would also replace all of the host's on this
    # one, and fail while a statement uses them. Replaced as a whole, since another thread may be connecting.
    of_peewee: Any = database
    functions: dict[str, tuple[Callable[..., object], int, bool | None]] = of_peewee._functions  # noqa: SLF001
    if "usage_text" not in functions:
        known = weakref.ref(database)  # a function must not keep the database alive, nor its connections
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
            # Where it is there already, SQLite refuses to replace it while a statement runs.
            with suppress(connection.OperationalError):
                connection.create_function(name, functions[name][1], functions[name][0])


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
    """Give the text that a blob stands for, by the blocks of a connection. Raises DamagedSnapshot. Reads only."""
    try:
        sql = f"SELECT {block_format.BLOCK} FROM (SELECT ? AS snapshot_data)"  # noqa: S608
        found = connection.execute(sql, (stored,)).fetchone()
    except connection.Error as error:
        raise DamagedSnapshot(f"its block cannot be read ({error})") from error
    return block_format.text(stored, *found)
