"""Errors of servers: each is one line with its SQLSTATE, and has the exit code of its kind."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import command
from usage_store.engines import connected, engine_of, open_database
from usage_store.engines.postgresql.connection.check_server import check_may_create
from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.errors import DatabaseError, DatabaseFull, DatabaseLocked, DatabaseUnreadable, ReadOnlyDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql_servers import Kept


APPLICATION = """
import peewee
db = peewee.PostgresqlDatabase("{wrong}", host="{host}", user="postgres", prefer_psycopg3={newer})
"""
LARGE_SORT = """
SET temp_file_limit = '64kB';
SELECT max(n) FROM (SELECT n FROM generate_series(1, 1000000) AS n ORDER BY n DESC OFFSET 1) AS m
"""


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert "wrong1" not in str(error)
    return str(error)


@contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"postgres@": "nobody@"}, "the server refused the role or its password .*sqlstate 28000"),
        ({"postgres@": "secretive:wrong1@"}, "the server refused the role or its password .*sqlstate 28P01"),
        ({"postgres@": "secretive@"}, "the server refused the role or its password .*sqlstate 28P01"),
        ({"/postgres?": "/no%20where?"}, "no such database; `createdb 'no where'` .*sqlstate 3D000"),
        ({"postgres@": "crowd@"}, "the server has too many clients.*sqlstate 53300"),
        ({"host=/": "host=/nowhere/"}, "the server cannot be reached"),
    ],
)
def test_a_connection_that_the_server_refuses(server: Kept, change: dict[str, str], said: str) -> None:
    url = server.url
    for old, new in change.items():
        url = url.replace(old, new)
    with pytest.raises(DatabaseUnreadable, match=rf"^postgresql://.*: {said}") as caught:
        open_database(url)
    assert one_line(caught.value)
    assert caught.value.exit_code == 8


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(DatabaseUnreadable, match=r"cannot be reached .*refused"):
        open_database(f"postgresql://me:wrong1@127.0.0.1:{free_port()}/app")
    with pytest.raises(DatabaseUnreadable, match=r"cannot be reached .*nowhere.invalid"):
        open_database("postgresql://me:wrong1@nowhere.invalid/app")
    with silent_port() as port, pytest.raises(DatabaseUnreadable, match=r"cannot be reached .*timeout"):
        open_database(f"postgresql://me:wrong1@127.0.0.1:{port}/app?connect_timeout=1")


@pytest.mark.parametrize(
    ("words", "url", "code"),
    [
        (("--verbose", "status"), "postgresql://me:wrong1@127.0.0.1:{port}/app", 8),
        ((), "postgresql://me:wrong1@h/app?x=1", 2),
    ],
)
def test_commands_end_with_the_exit_code_of_the_error(
    tmp_path: Path, words: tuple[str, ...], url: str, code: int
) -> None:
    done = command(*words, cwd=tmp_path, USAGE_STORE_DATABASE=url.format(port=free_port()))
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "wrong1" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("role", "sql", "kind", "said"),
    [
        ("late", "INSERT INTO items VALUES (2)", ReadOnlyDatabase, "accepts no writes here.*sqlstate 25006"),
        ("hasty", "SELECT pg_sleep(5) FROM items", DatabaseUnreadable, "statement_timeout.*sqlstate 57014"),
        (
            "reader",
            "INSERT INTO items VALUES (2)",
            DatabaseUnreadable,
            "the role reader lacks a right in the schema public; .*GRANT.*items.*sqlstate 42501",
        ),
        (
            "reader",
            "CREATE SCHEMA more",
            DatabaseUnreadable,
            "the role reader has no right CREATE on the database; GRANT CREATE ON DATABASE postgres TO reader gives it",
        ),
        (
            "reader",
            "ALTER TABLE items ADD COLUMN n int",
            DatabaseUnreadable,
            r"the role reader does not own what the statement changes; use the role that made it.*sqlstate 42501",
        ),
        (
            "postgres",
            LARGE_SORT,
            DatabaseFull,
            "sqlstate 53400",
        ),
    ],
)
def test_a_statement_that_the_server_refuses(
    server: Kept, role: str, sql: str, kind: type[DatabaseError], said: str
) -> None:
    with closing(open_database(server.url.replace("postgres@", f"{role}@"))) as database:
        with pytest.raises(kind, match=said) as caught:
            database.execute_sql(sql)
        assert isinstance(caught.value, peewee.OperationalError)
        assert caught.value.exit_code == 8
        assert one_line(caught.value)
        assert database.execute_sql("SELECT 1").fetchone() == (1,)


def test_a_disk_that_is_full(server: Kept) -> None:
    folder = Path(tempfile.mkdtemp(prefix="full"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("a small disk cannot be mounted here")
    try:
        with closing(open_database(server.url)) as database:
            os.chown(folder, Path(server.url.partition("host=")[2]).stat().st_uid, -1)
            folder.chmod(0o700)
            database.execute_sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
            database.execute_sql("CREATE TABLE large (t text) TABLESPACE small")
            with pytest.raises(DatabaseFull, match=r"the disk of the server is full .*sqlstate 53100"):
                database.execute_sql("INSERT INTO large SELECT repeat('x', 100) FROM generate_series(1, 100000)")
            database.execute_sql("DROP TABLE large")
            database.execute_sql("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def test_a_lock_that_is_not_had_in_time(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url)) as one, closing(open_database(postgresql_url, timeout=0.05)) as other:
        one.execute_sql("CREATE TABLE items (id bigint)")
        with one.atomic():
            one.execute_sql("LOCK TABLE items")
            with pytest.raises(DatabaseLocked, match=r"another connection holds a lock .*sqlstate 55P03") as caught:
                other.execute_sql("SELECT * FROM items")
        assert caught.value.exit_code == 6
        assert engine_of(other).is_locked(caught.value)
        assert sqlstate(caught.value) == "55P03"


def test_a_wrong_statement_stays_peewees_error(postgresql_url: str) -> None:
    with closing(open_database(postgresql_url)) as database:
        with pytest.raises(peewee.ProgrammingError):
            database.execute_sql("SELECT * FROM nothing")
        with pytest.raises(peewee.OperationalError) as caught:
            database.execute_sql(f"SELECT {', '.join(['%s'] * 70000)}", tuple(range(70000)))
        assert not isinstance(caught.value, DatabaseError), "too many parameters are no lost connection"


def test_the_right_to_create_is_missed_with_role_schema_and_right(server: Kept) -> None:
    missed = (
        r"the role reader has no right CREATE in the schema public; .*GRANT USAGE, CREATE ON SCHEMA .public. TO .read"
    )
    reader = peewee.PostgresqlDatabase(server.url.replace("postgres@", "reader@"), prefer_psycopg3=True)
    with reader.connection_context(), pytest.raises(DatabaseUnreadable, match=missed):
        check_may_create(reader, "here")
    owner = peewee.PostgresqlDatabase(server.url)
    with owner.connection_context():
        check_may_create(owner, "here")


@pytest.mark.parametrize("newer", [False, True])
def test_errors_of_an_applications_database_are_the_same(server: Kept, *, newer: bool) -> None:
    place = server.url.partition("host=")[2]
    own = peewee.PostgresqlDatabase("no where password=wrong1", user="postgres", prefer_psycopg3=newer, host=place)
    with (
        pytest.raises(DatabaseUnreadable, match=r"postgresql://postgres@/no%20where.*no such database") as caught,
        connected(own),
    ):
        pass
    assert one_line(caught.value)


@pytest.mark.parametrize("newer", [False, True])
def test_a_socket_that_is_not_there_is_no_lost_connection(tmp_path: Path, *, newer: bool) -> None:
    own = peewee.PostgresqlDatabase("app", host=str(tmp_path), prefer_psycopg3=newer)
    with pytest.raises(DatabaseUnreadable, match="the server cannot be reached"), connected(own):
        pass


@pytest.mark.parametrize("wrong", ["dbname=app password=wrong1", "postgres://me:wrong1@h/app"])
@pytest.mark.parametrize("newer", [False, True])
def test_a_password_in_the_name_of_a_database_is_shown_nowhere(
    server: Kept, tmp_path: Path, wrong: str, *, newer: bool
) -> None:
    host = server.url.partition("host=")[2]
    (tmp_path / "app.py").write_text(APPLICATION.format(wrong=wrong, host=host, newer=newer))
    done = command("--verbose", "status", "--database", "app:db", cwd=tmp_path)
    assert done.returncode == 8, done.stderr
    assert "Traceback" in done.stderr
    assert "***" in done.stderr.splitlines()[-1]
    assert "wrong1" not in done.stdout + done.stderr
