"""One more connection to the file of an open database, and databases of its kind on other files.

They come from that database itself, so they have its driver, key, functions and collations: see `driver`.
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

# Pragmas without which an encrypted file cannot be read (zetetic.net/sqlcipher/sqlcipher-api).
_KEYS = ("cipher", "hexkey", "hmac", "kdf", "key", "legacy", "textkey")


@contextmanager
def second_connection(database: peewee.SqliteDatabase) -> Iterator[peewee.SqliteDatabase]:
    """Open the file of an open database once more for the block, only to read.

    It reads what is committed, also while the first connection is inside a transaction.
    """
    parameters = _parameters(database)
    parameters.pop("cache", None)  # in a shared one, the first connection's transaction would be this one's, too
    with _opened(database, main_file(database), parameters, {"query_only": 1}) as second:
        yield second


@contextmanager
def opened_like(
    database: peewee.SqliteDatabase, path: str, pragmas: Mapping[str, str | int]
) -> Iterator[peewee.SqliteDatabase]:
    """Open a file that is there for the block, with the driver, key, functions and collations of a database.

    Of that database's pragmas it has those of the key alone, and those given.
    """
    parameters = {name: value for name, value in _parameters(database).items() if name == "vfs"}
    with _opened(database, path, parameters, pragmas) as like:
        yield like


def is_immutable(database: peewee.SqliteDatabase) -> bool:
    """Tell whether a database was opened by a URI with `immutable`, so that it sees no lock and no hot journal."""
    return _parameters(database).get("immutable", "0") not in ("0", "no", "off", "false")


@contextmanager
def scratch_like(database: peewee.SqliteDatabase) -> Iterator[peewee.SqliteDatabase]:
    """Have an empty database in memory for the block, with the driver, functions and collations of a database.

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
    # Our own class sets its connections up for work, which writes; so may a host's pragmas, and wait for a lock.
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
        _connections=[],  # of a pool, as the next
        _in_use={},
    )
    return like


@contextmanager
def _connected(like: peewee.SqliteDatabase, pragmas: Mapping[str, str | int]) -> Iterator[peewee.SqliteDatabase]:
    _connect(like)
    connection = like.connection()
    try:
        with plain(connection):
            for name, value in pragmas.items():  # again: the application's hooks may have set others
                like.pragma(name, value)
            for name in files_by_name(like):
                if name not in ("main", "temp"):  # what runs on a copy would change the real one
                    like.execute_sql("DETACH ?", (name,))
            yield like
    finally:
        like.close()
        connection.close()  # a pool would keep it


def _connect(like: peewee.SqliteDatabase) -> None:
    try:
        like.connect()
    except driver_errors(peewee.PeeweeException) as error:
        # A subclass may ask for tables at connecting, which a database that is still empty has not.
        hooks = ("_add_conn_hooks", "_initialize_connection")
        if all(getattr(type(like), name) is getattr(peewee.SqliteDatabase, name) for name in hooks):
            raise
        like.close()
        vars(like).update({name: partial(getattr(peewee.SqliteDatabase, name), like) for name in hooks})
        like.connect()
        logger.warning("a copy is used without what %s does at connecting: %s", type(like).__name__, error)


def _parameters(database: peewee.SqliteDatabase) -> dict[str, str]:
    """Give the parameters of the URI that a database was opened by, none for a path."""
    if isinstance(database, SqliteFile):
        return dict(parse_qsl(f"mode={database.access}"))
    if not database.connect_params.get("uri"):
        return {}
    return dict(parse_qsl(str(database.database).partition("#")[0].partition("?")[2]))
