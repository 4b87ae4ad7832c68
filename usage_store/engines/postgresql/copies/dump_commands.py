"""Name the commands of PostgreSQL that back up and restore a database. This package has none of its own for them."""

from __future__ import annotations

import logging
import os
import re
import shlex
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.catalogs.list_tables import own_tables
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    import peewee

logger = logging.getLogger("usage_store.migrate")

_PORT = 5432
_OPTIONS_OF_OURS = ("schema", "password", "sslpassword")  # the first is no option of PostgreSQL, the others are secret
_DEFAULTS = """
SELECT a.attname::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attribute AS a
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''
"""


def back_up_rows(
    database: peewee.PostgresqlDatabase,
    version: int,
    *,
    ignore: Collection[str] = (),
    seeded: Collection[str] = (),
    on_progress: Callable[[int, int], None] | None = None,  # noqa: ARG001  the interface's signature
) -> None:
    """Log one line with the pg_dump command if a database has rows. No backup is made. Reads only.

    Rows in tables of `ignore` do not count. In a table of `seeded`, a single row with only default values does not
    count.
    """
    ignored, at_defaults = ({name.lower() for name in names} for names in (ignore, seeded))
    for table in own_tables(database):
        if table.lower() not in ignored and _has_rows(database, table):
            if table.lower() in at_defaults and _has_only_defaults(database, table):
                continue
            logger.warning("no backup was made of version %d; this makes one: %s", version, _dump_command(database))
            return


def back_up_alone(
    database: peewee.PostgresqlDatabase,
    version: int,  # noqa: ARG001  the interface's signature, as for the next ones
    *,
    wait: float,  # noqa: ARG001
    on_wait: Callable[[str], None],  # noqa: ARG001
    on_progress: Callable[[int, int], None] | None = None,  # noqa: ARG001
) -> NoReturn:
    """Raise ConfigurationError, which names the pg_dump command for this database. Reads only."""
    raise ConfigurationError(f"backups of PostgreSQL are made by its own program: {_dump_command(database)}")


def restore(
    target: str | os.PathLike[str],
    backup: Path,
    *,
    version: int = 0,  # noqa: ARG001  the interface's signature, as for the next ones
    wait: float = 30,  # noqa: ARG001
    mode: int | None = None,  # noqa: ARG001
    on_wait: Callable[[str], None] = logger.info,  # noqa: ARG001
    on_progress: Callable[[int, int], None] | None = None,  # noqa: ARG001
) -> NoReturn:
    """Raise ConfigurationError, which names the pg_restore command for this URL and backup. Opens nothing."""
    words = ["pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={_without_secrets(target)}"]
    command = shlex.join([*words, str(backup)])
    raise ConfigurationError(f"backups of PostgreSQL are restored by its own program: {command}")


def _dump_command(database: peewee.PostgresqlDatabase) -> str:
    (schema,) = database.execute_sql("SELECT current_schema()").fetchone()
    info = database.connection().info
    host = f"{info.host or ''}"
    in_a_folder = host.startswith("/")
    netloc = f"{quote(info.user, safe='')}@{'' if in_a_folder else host}"
    netloc += f":{info.port}" * (int(info.port) != _PORT)
    query = urlencode({"host": host}, safe="/") if in_a_folder else ""
    url = urlunsplit(("postgresql", netloc, f"/{quote(info.dbname, safe='')}", query, ""))
    return shlex.join(["pg_dump", "-Fc", f"--schema={_pattern(schema)}", f"--file={info.dbname}.dump", url])


def _pattern(schema: str) -> str:
    """Return the pattern for pg_dump that means one schema: quoted if a letter would mean something else."""
    return schema if re.fullmatch("[a-z_][a-z0-9_]*", schema) else quoted(schema)


def _without_secrets(target: str | os.PathLike[str]) -> str:
    parts = urlsplit(os.fspath(target))
    user, at, host = parts.netloc.rpartition("@")
    options = [(name, value) for name, value in parse_qsl(parts.query) if name not in _OPTIONS_OF_OURS]
    netloc = f"{user.partition(':')[0]}{at}{host}"
    query = urlencode(options, safe="/", quote_via=quote)  # for libpq, + is no space
    return f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}"  # urlunsplit() leaves out an empty //


def _has_rows(database: peewee.PostgresqlDatabase, table: str) -> bool:
    sql = f"SELECT EXISTS (SELECT FROM {quoted(table)})"  # noqa: S608
    return bool(database.execute_sql(sql.replace("%", "%%")).fetchone()[0])


def _has_only_defaults(database: peewee.PostgresqlDatabase, table: str) -> bool:
    """Return whether a table's only row equals one of INSERT ... DEFAULT VALUES, apart from values of functions."""
    columns = database.execute_sql(_DEFAULTS, (quoted(table),)).fetchall()
    # A default that calls a function, such as the time, matches any value.
    same = [
        f"{quoted(name)} IS NOT DISTINCT FROM {value or 'NULL'}"
        for name, value in columns
        if not re.search(r"\w\(|CURRENT_|LOCALTIME", value or "")
    ]
    sql = f"SELECT count(*) = 1 AND coalesce(bool_and({' AND '.join(same) or 'true'}), false) FROM {quoted(table)}"  # noqa: S608
    return bool(database.execute_sql(sql.replace("%", "%%")).fetchone()[0])
