"""Know the PostgreSQL drivers: which databases are supported, and which errors the drivers raise."""

from __future__ import annotations

import re
import sys
from typing import Any

import peewee

from usage_store.errors import ConfigurationError

_PAIR = r"(\w+)\s*=\s*(?:'(?:\\.|[^'\\])*'|[^\s']\S*)"  # a word, and a value in quotes or without
_DRIVERS = ("psycopg", "psycopg2")
_UNSUPPORTED = {
    "playhouse.cockroachdb.CockroachDatabase": "CockroachDB is another server; use peewee.PostgresqlDatabase",
    "playhouse.pwasyncio.AsyncPostgresqlDatabase": (
        "its connections belong to tasks; use peewee.PostgresqlDatabase, and asyncio.to_thread() for each call"
    ),
}


def names_a_server(target: str) -> bool:
    """Return whether a target is a URL of PostgreSQL, or a text of libpq such as `host=db dbname=app`."""
    if re.match("postgres(ql)?:(/|.*@)", target):  # also with a slash too few: no file is meant by a password
        return True
    if "=" not in target or not re.fullmatch(rf"\s*{_PAIR}(\s+{_PAIR})*\s*", target):
        return False
    names = {name.lower() for name in re.findall(rf"(?:^|\s){_PAIR}", target)}
    # A folder may be called `host=web1`, so `host` alone is a path.
    return not names.isdisjoint({"dbname", "service"}) or ("host" in names and len(names) > 1)


def driver_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the error classes of the PostgreSQL drivers in this process, and `others`."""
    return (*others, *(sys.modules[name].Error for name in _DRIVERS if name in sys.modules))


def database_errors() -> tuple[type[Exception], ...]:
    """Return the errors of statements and of lost connections: those of peewee, and others of the drivers."""
    return driver_errors(peewee.DatabaseError, peewee.InterfaceError)


def required_driver() -> Any:
    """Import psycopg 3 and return it. Raises ConfigurationError if it is not installed."""
    try:
        import psycopg  # noqa: PLC0415  programs with SQLite do not need it
        import psycopg.conninfo  # noqa: PLC0415  as above
    except ImportError as error:
        said = (str(error).splitlines() or ["it cannot be imported"])[0]
        reason = "" if getattr(error, "name", None) == "psycopg" else f" ({said})"
        raise ConfigurationError(
            f"PostgreSQL needs the driver psycopg 3{reason}; `pip install 'usage-store[postgres]'` installs it"
        ) from error
    return psycopg


def owns(kind: type[peewee.Database]) -> bool:
    """Return whether a class is one of PostgreSQL databases. Raises ConfigurationError for one that cannot be used."""
    if not issubclass(kind, peewee.PostgresqlDatabase):
        return False
    for each in kind.__mro__:  # by name, because importing these modules needs their drivers
        reason = _UNSUPPORTED.get(f"{each.__module__}.{each.__qualname__}")
        if reason is not None:
            raise ConfigurationError(f"{kind.__name__} is not supported: {reason}")
    return True
