"""URLs of databases on a server: what they mean, what is refused, and what messages say of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import command
from usage_store import init_database
from usage_store.engines import is_on_a_server, name_of, open_database
from usage_store.engines.postgresql.connection.read_url import read_url
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "parameters", "schema"),
    [
        ("postgresql://me@db/app", {"user": "me", "host": "db", "dbname": "app"}, None),
        ("postgres://db:5433/app?schema=a%20b", {"host": "db", "port": "5433", "dbname": "app"}, "a b"),
        ("postgresql://[::1]/app", {"host": "::1", "dbname": "app"}, None),
        ("postgresql:///app?host=/run/pg&schema=Ünïcode", {"host": "/run/pg", "dbname": "app"}, "Ünïcode"),
        ("postgresql://%2Frun%2Fpg/app", {"host": "/run/pg", "dbname": "app"}, None),
        ("postgresql://a,b:5433/app", {"host": "a,b", "port": ",5433", "dbname": "app"}, None),
        ("postgresql://me:p?q@db/app?sslmode=require", {"user": "me", "password": "p?q", "host": "db"}, None),
        ("postgresql://?service=mine", {"service": "mine"}, None),
        ("postgresql://db", {"host": "db"}, None),
    ],
)
def test_a_url_is_read_by_the_rules_of_libpq(url: str, parameters: dict[str, str], schema: str | None) -> None:
    found = read_url(url)
    assert found.schema == schema
    assert parameters.items() <= found.parameters.items()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@db/app?shema=x", "unknown parameter 'shema'"),
        ("postgresql://me:hunter2@db/app?schema=", "schema has no value"),
        ("postgresql://me:hunter2@db/app?schema=a&schema=b", "names several schemas"),
        ("postgresql://me:hunter2@db/app?schema=pg_catalog", "the schema pg_catalog belongs to the server itself"),
        ("postgresql://me:hunter2@db/app?schema=pg_temp", "the schema pg_temp belongs to the server itself"),
        ("postgresql://me:hunter2@db/app?schema=information_schema", "the schema information_schema belongs to"),
        ("postgresql://me:hunter2@db:port/app", "the port is not a number from 1 to 65535"),
        ("postgresql://me:p/hunter2@db/app", "the port is not a number from 1 to 65535"),
        ("postgresql://me:p@hunter2@db/app", "the host has an @; a special character"),
        ("postgresql://me:hunter2%zz@db/app", "does not parse; a special character"),
        ("postgresql://me:hunter 2@db/app", "does not parse; a special character"),
        ("postgresql://me:hunter2@[::1/app", "an IPv6 address stands in [ and ]"),
        ("postgresql://me:hunter2@db/app?connect_timeout=soon", "connect_timeout is 'soon'; allowed: a whole number"),
        ("postgresql://me:hunter2@db/app?sslmode=on", "sslmode is 'on'; allowed: disable, allow,"),
        ("postgresql://me:hunter2@db/a%00b", "NUL character"),
        ("postgresql+psycopg://me:hunter2@db/app", "stores in SQLite and PostgreSQL"),
        ("mysql://me:hunter2@db/app", "stores in SQLite and PostgreSQL"),
        ("host=db dbname=app password=hunter2", "is named by a URL, such as postgresql://user@host/database"),
        ("dbname = app password='hunter2 x'", "is named by a URL"),
        ("postgresql:/me:hunter2@db/app", "is named by a URL"),
        ("postgres:me:hunter2@db/app", "is named by a URL"),
        ("postgresql:///me:hunter2@db/app", "user and host stand after two slashes"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database(url)
    message = str(caught.value)
    assert said in message
    assert "hunter" not in message
    assert "\n" not in message
    told = "".join(chained(caught.value))
    assert "hunter" not in told, "the driver's error may quote the password"


def chained(error: BaseException) -> Iterator[str]:
    """Give the messages of the errors that a traceback shows before an error."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield str(before)
        yield from chained(before)


@pytest.mark.parametrize("target", ["host=web1/usage.db", "a=b.db", "it's dbname=x/usage.db", "usage.db"])
def test_a_path_with_an_equals_sign_stays_a_path(target: str) -> None:
    assert not is_on_a_server(target)


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("postgres://me:hunter2@db/app?schema=mine&sslmode=require", "postgresql://me@db/app?schema=mine"),
        ("postgresql://me@db:5433/app", "postgresql://me@db:5433/app"),
        ("postgresql://[::1]:5433/app", "postgresql://[::1]:5433/app"),
        ("postgresql:///app?host=/run/pg", "postgresql:///app?host=/run/pg"),
        (peewee.PostgresqlDatabase("app", user="me", password="hunter2", host="db"), "postgresql://me@db/app"),
        (peewee.PostgresqlDatabase("postgresql://me:hunter2@db/app"), "postgresql://me@db/app"),
        (peewee.PostgresqlDatabase("postgres://me:hunter2@db/app"), "postgresql:///postgres%3A//me%3A***%40db/app"),
        (peewee.PostgresqlDatabase("host=db password=hunter2"), "postgresql:///host%3Ddb%20password%3D***"),
        (peewee.PostgresqlDatabase("app", dsn="host=db user=me password=hunter2"), "postgresql://me@db/app"),
    ],
)
def test_a_database_is_named_by_a_url_without_its_password(
    database: str | peewee.PostgresqlDatabase, name: str
) -> None:
    assert "hunter2" not in name_of(database)
    assert name_of(database) == name


PROGRAM = """
import sys
sys.modules["psycopg"] = sys.modules["psycopg2"] = None
import usage_store
{}
"""
CALL = "usage_store.init_database('postgresql://me:hunter2@db/app')"
COMMAND = (
    "from usage_store.cli.main import main\n"
    "sys.exit(main(['status', '--database', 'postgresql://me:hunter2@db/app'], door=('migrate',)))"
)


@pytest.mark.parametrize(("lines", "code"), [(CALL, 1), (COMMAND, 2)])
def test_without_a_driver_the_error_names_the_line_that_installs_it(tmp_path: Path, lines: str, code: int) -> None:
    program = [sys.executable, "-c", PROGRAM.format(lines)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "PostgreSQL needs the driver psycopg 3; `pip install 'usage-store[postgres]'` installs it"
    )
    assert "hunter2" not in done.stderr


def test_a_driver_that_cannot_be_imported_and_says_nothing_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError\n", encoding="utf-8")
    done = command("--database", "postgresql://me@db/app", "status", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "PostgreSQL needs the driver psycopg 3 (it cannot be imported); `pip install" in done.stderr


@pytest.mark.parametrize(
    "kind", ["playhouse.cockroachdb:CockroachDatabase", "playhouse.pwasyncio:AsyncPostgresqlDatabase"]
)
def test_databases_of_another_kind_are_refused_by_their_name(kind: str) -> None:
    from importlib import import_module

    module, _, name = kind.partition(":")
    try:
        base = getattr(import_module(module), name)
    except ImportError as error:
        pytest.skip(str(error))
    database = type("Mine", (base,), {})("app")
    with pytest.raises(ConfigurationError, match="Mine is not supported"):
        init_database(database)
