"""A migration that the server refuses or ends: the exit code is that of a database, with file, line and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import command
from tests.support.migrations import python, sql, write
from tests.support.postgresql_servers import execute
from usage_store.engines.postgresql.connection.our_connections import OurServer
from usage_store.engines.postgresql.connection.read_url import read_url
from usage_store.errors import DatabaseFailed, DatabaseUnreadable, MigrationFailed
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.postgresql_servers import Kept

T = {"001_t": sql("CREATE TABLE t (id integer)")}
OPENED: dict[str, Callable[[str], peewee.Database]] = {
    "psycopg2": peewee.PostgresqlDatabase,
    "psycopg": lambda url: peewee.PostgresqlDatabase(url, prefer_psycopg3=True),
    "ours": lambda url: OurServer(read_url(url)),
}
WITHOUT_CREATE = (
    "the role reader lacks the right CREATE or USAGE in the schema public; an owner gives them: GRANT USAGE, CREATE ON "
    "SCHEMA public TO reader (permission denied for schema public, sqlstate 42501)"
)
NOT_OWNER = (
    "the role reader does not own what the statement changes; use the role that made it, or a member of that (must be "
    "owner of table t, sqlstate 42501)"
)


@pytest.fixture
def url(server: Kept, tmp_path: Path) -> Iterator[str]:
    """Give a URL of a role that may write all tables of migrations that have run, and create none."""
    write(tmp_path / "own", T)
    own = peewee.PostgresqlDatabase(server.url)
    with own.connection_context():
        MigrationRunner(own, tmp_path / "own", "m").migrate()
    execute(server.url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader")
    yield server.url.replace("postgres@", "reader@")
    execute(server.url, "DROP TABLE t, m, m_log")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "CREATE TABLE u (id integer)",
            WITHOUT_CREATE,
        ),
        (
            "ALTER TABLE t ADD u integer",
            NOT_OWNER,
        ),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)", "sqlstate 57014)"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "the connection to the server was lost"),
    ],
)
@pytest.mark.parametrize("kind", OPENED)
def test_it_is_named_with_file_line_and_sqlstate(
    url: str, tmp_path: Path, kind: str, statement: str, said: str
) -> None:
    own = OPENED[kind](url)
    write(tmp_path / "own", T | {"002_u": python(f"db.execute_sql({statement!r})")})
    with own.connection_context(), pytest.raises(MigrationFailed) as caught:
        MigrationRunner(own, tmp_path / "own", "m", wait=1).migrate()
    error = caught.value
    assert type(error) is DatabaseFailed
    assert isinstance(error, DatabaseUnreadable)
    assert (error.exit_code, error.version, error.line) == (8, 2, 2)
    assert str(error).startswith("002_u.py, line 2: DatabaseUnreadable: postgresql://reader@/postgres?")
    assert said in str(error)
    assert "\n" not in str(error)


def test_the_command_ends_with_8(url: str, tmp_path: Path) -> None:
    write(tmp_path / "own", T | {"002_u": sql("CREATE TABLE u (id integer)")})
    done = command("--database", url, "--directory", "own", "--table", "m", cwd=tmp_path)
    assert done.returncode == 8, done
    assert done.stderr.splitlines()[-1].startswith("error: 002_u.py, line 2: DatabaseUnreadable: postgresql://reader@")
