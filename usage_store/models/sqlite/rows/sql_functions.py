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

import peewee

from usage_store.engines.sqlite.connection.driver import frees_functions_without_lock
from usage_store.errors import DamagedSnapshot
from usage_store.models.sqlite.rows import block_format

if TYPE_CHECKING:
    from collections.abc import Callable

_Functions = tuple[tuple[str, int, "Callable[..., object]"], ...]
WHY = b"\0"  # what a blob begins with that says why a text cannot be read

# What is on a connection, by the connection's id. SQLite holds a function as long as the connection is open, and
# connections have no weak references: while the function lives, the id is that connection's.
_provided: weakref.WeakValueDictionary[int, Callable[..., object]] = weakref.WeakValueDictionary()
_registered: weakref.WeakSet[peewee.Database] = weakref.WeakSet()
_lasting: weakref.WeakKeyDictionary[peewee.Database, _Functions] = weakref.WeakKeyDictionary()
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
    function = _usage_json(lambda: connection)
    if frees_functions_without_lock():
        _kept.append(function)
    connection.create_function("usage_json", -1, function)


def register_functions(database: peewee.Database | None) -> None:
    """Give every connection of a SQLite database the functions, those that it will make as well."""
    if isinstance(database, peewee.SqliteDatabase) and database not in _registered:
        for name, arguments, function in _functions(database):
            database.register_function(function, name, arguments)
        _registered.add(database)


def provide(database: peewee.SqliteDatabase) -> None:
    """See that the connection on which a statement is about to run has the functions.

    It may be one that init_database() never saw, or one that another thread opened before.
    """
    if database.is_closed():
        register_functions(database)
        return
    connection: Any = database.connection()
    if id(connection) in _provided:
        return
    for name, arguments, function in _functions(database):
        # Where it is there already, SQLite refuses to replace it while a statement runs.
        with suppress(connection.OperationalError):
            connection.create_function(name, arguments, function)
            if name == "usage_text" and database not in _lasting:
                _provided[id(connection)] = function


def _functions(database: peewee.SqliteDatabase) -> _Functions:
    if not frees_functions_without_lock():
        return _made_for(database)
    if database not in _lasting:
        _lasting[database] = _made_for(database)
        _kept.append(_lasting[database])
    return _lasting[database]


def _made_for(database: peewee.SqliteDatabase) -> _Functions:
    known = weakref.ref(database)  # a function must not keep the database alive, nor its connections

    def connection() -> Any:
        used = known()
        return None if used is None else used.connection()

    def usage_text(stored: Any, block: Any) -> Any:  # one for each call, for `_provided`
        return text_or_why(lambda: block_format.text(stored, block)) if isinstance(stored, bytes) else stored

    return (("usage_json", -1, _usage_json(connection)), ("usage_text", 2, usage_text))


def _usage_json(connection: Callable[[], Any]) -> Callable[..., object]:
    def usage_json(stored: Any, *block: Any) -> Any:
        if not isinstance(stored, bytes):
            return stored
        try:
            return block_format.text(stored, *block) if block else text_by_connection(connection(), stored)
        except DamagedSnapshot:
            return None

    return usage_json


def text_by_connection(connection: Any, stored: bytes) -> str:
    """Give the text that a blob stands for, by the blocks of a connection. Raises DamagedSnapshot. Reads only."""
    try:
        sql = f"SELECT {block_format.BLOCK} FROM (SELECT ? AS snapshot_data)"  # noqa: S608
        found = connection.execute(sql, (stored,)).fetchone()
    except connection.Error as error:
        raise DamagedSnapshot(f"its block cannot be read ({error})") from error
    return block_format.text(stored, *found)
