"""One more connection to the file of an open database, and databases of its kind on other files.

They come from that database itself, so they have its driver, key, functions and collations: see `driver`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import peewee

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile, file_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
def _opened(
    database: peewee.SqliteDatabase, path: str, parameters: Mapping[str, str], pragmas: Mapping[str, str | int]
) -> Iterator[peewee.SqliteDatabase]:
    # Our own class sets its connections up for work, which writes; so may a host's pragmas, and wait for a lock.
    kind = peewee.SqliteDatabase if isinstance(database, SqliteFile) else type(database)
    held = vars(database)
    like = kind.__new__(kind)
    vars(like).update(
        held,
        database=file_uri(path, urlencode({"mode": "rw", **parameters}).removeprefix("mode=")),
        connect_params={**database.connect_params, "uri": True},
        query_hooks=[],
        _state=type(held["_state"])(),
        _pragmas=[*(pair for pair in held["_pragmas"] if pair[0].startswith(_KEYS)), *pragmas.items()],
        _attached={},
        _connections=[],  # of a pool, as the next
        _in_use={},
    )
    like.connect()
    connection = like.connection()
    try:
        yield like
    finally:
        like.close()
        connection.close()  # a pool would keep it


def _parameters(database: peewee.SqliteDatabase) -> dict[str, str]:
    """Give the parameters of the URI that a database was opened by, none for a path."""
    if isinstance(database, SqliteFile):
        return dict(parse_qsl(f"mode={database.access}"))
    if not database.connect_params.get("uri"):
        return {}
    return dict(parse_qsl(str(database.database).partition("#")[0].partition("?")[2]))
