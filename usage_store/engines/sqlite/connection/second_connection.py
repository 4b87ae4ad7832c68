"""Open further connections like that of an open database: to its own file, to another file, or in memory.

They are made from this database, so they have its driver, key, functions and collations: see `driver`.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors, files_by_name, main_file
from usage_store.engines.sqlite.connection.plain_connection import plain
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile, file_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger("usage_store.migrate")

# Without these pragmas, an encrypted file cannot be read (zetetic.net/sqlcipher/sqlcipher-api).
_KEYS = ("cipher", "hexkey", "hmac", "kdf", "key", "legacy", "textkey")


@contextmanager
def second_connection(database: peewee.SqliteDatabase) -> Iterator[peewee.SqliteDatabase]:
    """Open the file of an open database a second time for the block, only for reading.

    It reads the committed state, also while the first connection is inside a transaction.
    """
    parameters = _parameters(database)
    parameters.pop("cache", None)  # a shared cache would show the open transaction of the first connection
    with _opened(database, main_file(database), parameters, {"query_only": 1}) as second:
        yield second


@contextmanager
def opened_like(
    database: peewee.SqliteDatabase, path: str, pragmas: Mapping[str, str | int]
) -> Iterator[peewee.SqliteDatabase]:
    """Open an existing file for the block, with the driver, key, functions and collations of a database.

    Of that database's pragmas, only those of the key are used, together with `pragmas`.
    """
    parameters = {name: value for name, value in _parameters(database).items() if name == "vfs"}
    with _opened(database, path, parameters, pragmas) as like:
        yield like


def is_immutable(database: peewee.SqliteDatabase) -> bool:
    """Return whether a database was opened with `immutable` in its URI, so that it sees no locks and no hot journal."""
    return _parameters(database).get("immutable", "0") not in ("0", "no", "off", "false")


@contextmanager
def scratch_like(database: peewee.SqliteDatabase) -> Iterator[peewee.SqliteDatabase]:
    """Provide an empty database in memory for the block, with the driver, functions and collations of a database.

    Foreign keys are off there, as in a run of migrations.
    """
    pragmas = {"foreign_keys": 0}
    with _connected(_like(database, pragmas, ":memory:", database.connect_params), pragmas) as scratch:
        yield scratch


@contextmanager
def _opened(
    database: peewee.SqliteDatabase, path: str, parameters: Mapping[str, str], pragmas: Mapping[str, str | int]
) -> Iterator[peewee.SqliteDatabase]:
    uri = file_uri(path, urlencode({"mode": "rw", **parameters}).removeprefix("mode="))
    like = _like(database, pragmas, uri, {**database.connect_params, "uri": True})
    with _connected(like, pragmas) as opened:
        yield opened


def _like(
    database: peewee.SqliteDatabase, pragmas: Mapping[str, str | int], name: str, connect_params: Mapping[str, Any]
) -> peewee.SqliteDatabase:
    # Do not use this package's own class: it sets up its connections with statements that write. An application's
    # pragmas may also write, and wait for a lock.
    kind = peewee.SqliteDatabase if isinstance(database, SqliteFile) else type(database)
    held = vars(database)
    like = kind.__new__(kind)
    vars(like).update(
        held,
        database=name,
        connect_params=connect_params,
        query_hooks=[],
        _state=type(held["_state"])(),
        _pragmas=[*(pair for pair in held["_pragmas"] if pair[0].startswith(_KEYS)), *pragmas.items()],
        _attached={},
        _connections=[],  # this and the next one belong to a pool
        _in_use={},
    )
    return like


@contextmanager
def _connected(like: peewee.SqliteDatabase, pragmas: Mapping[str, str | int]) -> Iterator[peewee.SqliteDatabase]:
    _connect(like)
    connection = like.connection()
    try:
        with plain(connection):
            for name, value in pragmas.items():  # again, because the application's hooks may have changed them
                like.pragma(name, value)
            for name in files_by_name(like):
                if name not in ("main", "temp"):  # otherwise a run on a copy would change the attached database
                    like.execute_sql("DETACH ?", (name,))
            yield like
    finally:
        like.close()
        connection.close()  # a pool would keep it open


def _connect(like: peewee.SqliteDatabase) -> None:
    try:
        like.connect()
    except driver_errors(peewee.PeeweeException) as error:
        # A subclass may read tables when it connects, and an empty database does not have them.
        hooks = ("_add_conn_hooks", "_initialize_connection")
        if all(getattr(type(like), name) is getattr(peewee.SqliteDatabase, name) for name in hooks):
            raise
        like.close()
        vars(like).update({name: partial(getattr(peewee.SqliteDatabase, name), like) for name in hooks})
        like.connect()
        logger.warning(
            "a copy is used without the settings that %s makes when it connects: %s", type(like).__name__, error
        )


def _parameters(database: peewee.SqliteDatabase) -> dict[str, str]:
    """Return the parameters of the URI that opened a database; none for a path."""
    if isinstance(database, SqliteFile):
        return dict(parse_qsl(f"mode={database.access}"))
    if not database.connect_params.get("uri"):
        return {}
    return dict(parse_qsl(str(database.database).partition("#")[0].partition("?")[2]))
