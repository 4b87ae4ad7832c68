"""Name a database in messages: by a URL without a password."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from usage_store.engines.interface.paths_and_urls import redact
from usage_store.engines.postgresql.connection.read_url import read_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

_PORT = "5432"
_SEARCH_PATH = re.compile(r"(?:-c\s*|--)search_path=((?:\\.|\S)*)", re.DOTALL)  # a backslash stands before a space


def name_of(database: str | os.PathLike[str] | peewee.PostgresqlDatabase) -> str:
    """Return the URL of a URL or database with user, host, port, name and schema, for a message. Opens nothing.

    Raises ConfigurationError for a URL that does not parse.
    """
    if isinstance(database, str | os.PathLike):
        return url_of(*read_url(os.fspath(database)))
    given = settings_of(database)
    return url_of(given, getattr(database, "schema", None) or _first_schema(str(given.get("options") or "")))


def _first_schema(options: str) -> str | None:
    """Return the first schema of the search path in libpq's `options`, if one is there."""
    found = _SEARCH_PATH.findall(options)  # the last one counts
    first = re.sub(r"\\(.)", r"\1", found[-1]).split(",")[0].strip() if found else ""
    name = first[1:-1].replace('""', '"') if first[:1] == '"' else first.lower()
    return name if name != "$user" else None


def url_of(given: Mapping[str, Any], schema: str | None) -> str:
    """Return the URL of a database from libpq's parameters, of which it shows no others than those that name it."""
    host, port, user = (str(given.get(name) or "") for name in ("host", "port", "user"))
    is_socket = host.startswith(("/", "@"))
    shown = {"host": host if is_socket else "", "port": port if is_socket and port != _PORT else ""}
    shown |= {"service": str(given.get("service") or ""), "schema": schema or ""}
    query = "&".join(f"{name}={_quoted(value)}" for name, value in shown.items() if value)
    who = f"{_quoted(user)}@" if user else ""
    where = "" if is_socket else _hosts(host, port)
    return redact(
        f"postgresql://{who}{where}/{_quoted(redact(str(given.get('dbname') or '')))}{f'?{query}' if query else ''}"
    )


def _hosts(host: str, port: str) -> str:
    hosts, ports = host.split(","), port.split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)  # one port for all of them
    return ",".join(map(_host, hosts, ports))


def _host(host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else _quoted(host)
    return shown if port in ("", _PORT) else f"{shown}:{port}"


def _quoted(text: str) -> str:
    return quote(text, safe="/~._-*", errors="backslashreplace")


def settings_of(database: peewee.PostgresqlDatabase) -> Mapping[str, Any]:
    """Return libpq's parameters of a database, as peewee gives them to the driver. A password may be in them."""
    given: dict[str, Any] = dict(database.connect_params)
    whole = given.pop("conninfo", None) or given.pop("dsn", None)
    if str(database.database).startswith("postgresql://"):
        return {**_parsed(whole or database.database), **given}
    return {**_parsed(whole), "dbname": database.database, **given}


def _parsed(text: str | None) -> Mapping[str, Any]:
    """Return the parameters in a URL or key-value text. There are none in one that does not parse."""
    psycopg: Any = sys.modules.get("psycopg")
    psycopg2: Any = sys.modules.get("psycopg2")
    parse = psycopg.conninfo.conninfo_to_dict if psycopg else psycopg2.extensions.parse_dsn if psycopg2 else None
    if not text or parse is None:
        return {}
    try:
        return dict(parse(text))
    except (psycopg or psycopg2).Error:
        return {}
