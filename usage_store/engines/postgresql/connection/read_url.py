"""Read the URL of a database by the rules of libpq, PostgreSQL's own library, and `schema` beside its parameters."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from usage_store.engines.postgresql.connection.driver import required_driver
from usage_store.errors import ConfigurationError

_SCHEMES = ("postgresql://", "postgres://")
_EXAMPLE = "postgresql://user@host/database?schema=name"
_ENCODED = "a special character in a user name or password is written as its code, such as %40 for @ and %2F for /"
_LAST_PORT = 65535
_WHOLE_NUMBERS = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count")
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}


_OURS = {
    "application_name": "usage-store",
    "connect_timeout": "10",  # seconds
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds: what is sent to a server that is gone fails after this time
}


class Target(NamedTuple):
    """What a URL names: libpq's parameters, and the schema to work in, if it names one."""

    parameters: dict[str, Any]
    schema: str | None


def read_url(url: str) -> Target:
    """Return what a URL names. Opens nothing.

    Raises ConfigurationError for a URL that does not parse, with an unknown parameter or a wrong value, and if psycopg
    is not installed. Its message has no part of the URL that may be a password.
    """
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(f"a database of PostgreSQL is named by a URL, such as {_EXAMPLE}")
    if "\0" in url or "%00" in url:
        raise _refused("holds a NUL character, which PostgreSQL accepts nowhere")
    psycopg = required_driver()
    plain, query = _split(url)
    query, schema = _without_schema(query)
    known = {each.keyword.decode() for each in psycopg.pq.Conninfo.get_defaults()} | {"ssl"}
    for name in (unquote(each.partition("=")[0]) for each in query):
        if name not in known:
            raise _refused(f"unknown parameter {name!r}; allowed are schema and those of libpq, such as sslmode")
    try:
        found = psycopg.conninfo.conninfo_to_dict(f"{plain}?{'&'.join(query)}" if query else plain)
    except (psycopg.Error, UnicodeError):  # libpq quotes what it does not understand, which may be a password
        raise _refused(f"does not parse; {_ENCODED}, and an IPv6 address stands in [ and ]") from None
    _check(found)
    return Target(found, schema)


def with_schema(url: str, schema: str) -> str:
    """Return a URL that names this schema, and otherwise the same as a URL that `read_url()` takes."""
    plain, query = _split(url)
    query, _ = _without_schema(query)
    return f"{plain}?{'&'.join([*query, f'schema={schema}'])}"


def _split(url: str) -> tuple[str, list[str]]:
    """Return a URL without its query, and the parts of the query. A `?` may stand in a password, as for libpq."""
    start = url.index("://") + 3
    end = min((found for found in (url.find("/", start), url.find("@", start)) if found >= 0), default=start)
    begin = url.find("?", end if url[end : end + 1] == "@" else start)
    return (url, []) if begin < 0 else (url[:begin], url[begin + 1 :].split("&"))


def _without_schema(query: list[str]) -> tuple[list[str], str | None]:
    named = [unquote(each.removeprefix("schema=")) for each in query if each.startswith("schema=")]
    if named[1:]:
        raise _refused("names several schemas; allowed: one")
    if named == [""]:
        raise _refused("schema has no value; name a schema, or leave the parameter out")
    if named:
        refuse_schema(named[0])
    return [each for each in query if not each.startswith("schema=") and each], named[0] if named else None


def refuse_schema(name: str) -> None:
    """Raise ConfigurationError for the name of a schema in which the server keeps tables of its own."""
    if name.startswith("pg_") or name == "information_schema":
        raise ConfigurationError(f"the schema {name} belongs to the server itself; name one of your own ({_EXAMPLE})")


def _check(found: dict[str, Any]) -> None:
    """Refuse what libpq would refuse only when it connects, with a part of a password in its message."""
    ports = str(found.get("port") or "").split(",")
    if not all(port == "" or (port.isdecimal() and 0 < int(port) <= _LAST_PORT) for port in ports):
        raise _refused(f"the port is not a number from 1 to {_LAST_PORT}; {_ENCODED}")
    if "@" in str(found.get("host") or "")[1:]:
        raise _refused(f"the host has an @; {_ENCODED}")
    if re.search(":.*@", str(found.get("dbname") or ""), re.DOTALL):
        raise _refused("user and host stand after two slashes, and the name of the database after the third")
    for name in _WHOLE_NUMBERS:
        if not re.fullmatch(r"-?\d+", str(found.get(name, 0)).strip()):
            raise _refused(f"{name} is {found[name]!r}; allowed: a whole number")
    for name, allowed in _CHOICES.items():
        if name in found and found[name] not in allowed:
            raise _refused(f"{name} is {found[name]!r}; allowed: {', '.join(allowed)}")


def _refused(reason: str) -> ConfigurationError:
    return ConfigurationError(f"the URL of the database: {reason} ({_EXAMPLE})")


def with_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """Return libpq's parameters with what the environment says of the place and the role, and with our own settings."""
    found = {each.keyword.decode(): (each.val or b"").decode() for each in required_driver().pq.Conninfo.get_defaults()}
    used = {} if given.get("service") else {name: found[name] for name in ("user", "host", "port", "dbname")}
    used["dbname"] = used.get("dbname") or given.get("user") or used.get("user")  # as libpq does
    ours = {name: value for name, value in _OURS.items() if not found.get(name)}
    return {**{name: value for name, value in used.items() if value}, **ours, **given, "client_encoding": "UTF8"}
