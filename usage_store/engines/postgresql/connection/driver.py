"""Know the PostgreSQL drivers: which databases are supported, and which errors the drivers raise."""

from __future__ import annotations

import sys

import peewee

from usage_store.errors import ConfigurationError

_DRIVERS = ("psycopg", "psycopg2")
_UNSUPPORTED = {
    "playhouse.cockroachdb.CockroachDatabase": "CockroachDB is another server; use peewee.PostgresqlDatabase",
    "playhouse.pwasyncio.AsyncPostgresqlDatabase": (
        "its connections belong to tasks; use peewee.PostgresqlDatabase, and asyncio.to_thread() for each call"
    ),
}


def driver_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the error classes of the PostgreSQL drivers in this process, and `others`."""
    return (*others, *(sys.modules[name].Error for name in _DRIVERS if name in sys.modules))


def owns(kind: type[peewee.Database]) -> bool:
    """Return whether a class is one of PostgreSQL databases. Raises ConfigurationError for one that cannot be used."""
    if not issubclass(kind, peewee.PostgresqlDatabase):
        return False
    for each in kind.__mro__:  # by name, because importing these modules needs their drivers
        reason = _UNSUPPORTED.get(f"{each.__module__}.{each.__qualname__}")
        if reason is not None:
            raise ConfigurationError(f"{kind.__name__} is not supported: {reason}")
    return True
