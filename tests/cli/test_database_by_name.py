"""`--database module:name` uses the application's database object: its functions, collations, pragmas and driver."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called, command, maintain_command
from tests.support.databases import files_of, names, rows, script
from tests.support.engines import folder_with_place
from tests.support.migrations import sql, table, write
from tests.support.postgresql_servers import for_drivers
from tests.support.programs import run_python
from usage_store.engines.interface.paths_and_urls import names_an_object

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

APPLICATION = """
import sys
from peewee import DatabaseProxy, SqliteDatabase
from playhouse.pool import PooledSqliteDatabase

database = SqliteDatabase("app.db", pragmas={"journal_mode": "wal", "cache_size": -1000})
database.register_function(lambda value: value * 2, "doubled", 1)
pooled = PooledSqliteDatabase("app.db")
pooled.register_function(lambda value: value * 2, "doubled", 1)
proxy = DatabaseProxy()
proxy.initialize(database)
empty = DatabaseProxy()
deferred = SqliteDatabase(None)
in_memory = SqliteDatabase(":memory:")
by_uri = SqliteDatabase("file:a%20b.db?mode=rwc", uri=True)
usage = SqliteDatabase("usage.db")
text = "app.db"


class Settings:
    database = database
"""
ON_A_SERVER = """
from peewee import DatabaseProxy, PostgresqlDatabase
from playhouse.pool import PooledPostgresqlDatabase

database = PostgresqlDatabase({url!r}, prefer_psycopg3=True)
pooled = PooledPostgresqlDatabase({url!r}, prefer_psycopg3=True)
proxy = DatabaseProxy()
proxy.initialize(database)
usage = database


class Settings:
    database = database
"""
DOUBLED = "CREATE FUNCTION doubled(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 * 2'"
MIGRATIONS = {
    "001_one": sql("CREATE TABLE one (a INTEGER)", "INSERT INTO one VALUES (doubled(21))", down=["DROP TABLE one"]),
    "002_two": table("two"),
}
DIRECTORY = ("--directory", "own")


@pytest.fixture
def application(server: str, tmp_path: Path) -> Iterator[Path]:
    """Give a folder with an application, and migrations in `own` that need the application's SQL function."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    write(tmp_path / "own", MIGRATIONS)
    with folder_with_place(server, tmp_path) as folder:
        place = app(folder)
        if isinstance(place, str):
            script(place, DOUBLED)
            (package / "db.py").write_text(ON_A_SERVER.format(url=for_drivers(place)))
        else:
            (package / "db.py").write_text(APPLICATION)
        yield folder


def run(application: Path, name: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = called(*words, "--database", f"package.db:{name}", *DIRECTORY, cwd=application)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("name", ["database", "pooled", "proxy", "Settings.database"])
def test_migrations_run_on_the_application_s_own_object(application: Path, name: str) -> None:
    def printed(*words: str) -> str:  # a process for each command: the connections of a pool stay open until its end
        done = command(*words, "--database", f"package.db:{name}", *DIRECTORY, cwd=application)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        return done.stdout

    assert printed().startswith("applied 001_one")
    assert rows(app(application), "SELECT a FROM one") == [(42,)]
    assert printed("status").startswith("version 2 of 2")
    assert printed("rollback", "0").startswith("rolled back 002_two")
    assert "one" not in names(app(application))


def test_every_command_accepts_the_name_of_an_object(application: Path) -> None:
    run(application, "database")
    for words in (["status"], ["check"], ["log"], ["validate"], ["plan"], ["rehearse"], ["stamp", "2"]):
        run(application, "database", *words)
    assert command("--usage-tables", "--database", "package.db:usage", cwd=application).returncode == 0
    done = maintain_command("--database", "package.db:usage", cwd=application)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.only_on("sqlite", "files")
def test_backup_and_convert_accept_the_name_of_an_object_and_restore_does_not(application: Path) -> None:
    run(application, "database")
    found = re.match(r"backed up version 2 to (.+) \(", run(application, "database", "backup").stdout)
    assert found is not None
    assert rows(Path(found[1]), "SELECT a FROM one") == [(42,)]
    done = run(application, "database", "restore", found[1], code=2)
    assert done.stderr.startswith("error: package.db:database: restore replaces a file; give its path or URL")
    assert command("--database", "package.db:usage", cwd=application).returncode == 0
    done = run_python("-m", "usage_store.convert", "package.db:usage", cwd=application)
    assert (done.returncode, done.stdout) == (0, "nothing to convert\n")


@pytest.mark.only_on("sqlite", "files")
def test_commands_that_only_read_do_not_create_a_missing_database(application: Path) -> None:
    before = files_of(application)
    for name, file in (("database", "app.db"), ("by_uri", "a b.db")):
        assert run(application, name, "status").stdout.startswith("version 0 of 2, 2 pending")
        run(application, name, "check", code=1)
        for words in (["validate"], ["log"], ["backup"], ["rollback"], ["rehearse"]):
            assert run(application, name, *words, code=8).stderr.startswith(
                f"error: {application / file}: no such database; `usage-store migrate --database package.db:{name} "
            )
        assert files_of(application) == before


def test_commands_that_only_read_cannot_write_through_the_object(application: Path) -> None:
    run(application, "database")
    on_a_server = isinstance(app(application), str)
    setting = "SHOW default_transaction_read_only" if on_a_server else "PRAGMA query_only"
    looks = application / "looks.py"
    looks.write_text(
        "from package.db import database\n"
        "from usage_store.engines import lent\n"
        "with lent(database, readonly=True) as lent_one:\n"
        "    try:\n"
        "        lent_one.execute_sql('DELETE FROM one')\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
        f"print(database.is_closed(), database.connect(), *database.execute_sql({setting!r}).fetchone())\n"
    )
    assert run_python("looks.py", cwd=application).stdout == (
        "InternalError\nTrue True off\n" if on_a_server else "OperationalError\nTrue True 0\n"
    )
    assert rows(app(application), "SELECT a FROM one") == [(42,)]


@pytest.mark.only_on("sqlite", "classes of databases")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("package.gone:database", "package.gone: cannot be imported: ModuleNotFoundError: No module named"),
        ("package.db:gone", "package.db has no gone"),
        ("package.db:Settings.gone", "package.db has no Settings.gone"),
        ("package.db:text", "str is not supported"),
        ("package.db:Settings", "type is not supported"),
        ("package.db:empty", "the DatabaseProxy is not initialised when the module is imported; name the file"),
        ("package.db:deferred", "the database is deferred: it has no path when the module is imported; name the file"),
        ("exits:database", "exits: cannot be imported: SystemExit: 0"),
        ("raises:database", "raises: cannot be imported: GeneratorExit: "),
        ("broken:database", "broken: cannot be imported: SyntaxError: "),
    ],
)
def test_a_name_without_a_database_object_is_an_error_of_one_line(application: Path, spec: str, said: str) -> None:
    (application / "exits.py").write_text("import sys\nsys.exit(0)\n")
    (application / "raises.py").write_text("raise GeneratorExit\n")
    (application / "broken.py").write_text("1 +\n")
    for words in (["status"], [], ["create", "x", "--from", spec.partition(":")[0]]):
        done = called(*words, "--database", spec, *DIRECTORY, cwd=application)
        assert done.returncode == 2
        assert re.fullmatch(r"error: .+\n", done.stderr)
        if "--from" not in words:
            assert done.stderr.startswith(f"error: {spec}: ")
            assert said in done.stderr


def test_a_path_is_not_taken_for_the_name_of_an_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (":memory:", "app.db", "C:app", "C:\\app.db", "sqlite:///app.db", "a/b:c", "db:app.db-", "", ":", "a:"):
        assert not names_an_object(path)
    for name in ("db:database", "package.db:database", "package.db:Settings.database", "_a:b"):
        assert names_an_object(name)
    script(tmp_path / "db:database", "CREATE TABLE a (b)")
    assert not names_an_object("db:database"), "a file of that very name"


@pytest.mark.only_on("sqlite", "files")
def test_an_environment_variable_cannot_name_code_to_run(application: Path) -> None:
    done = command("status", *DIRECTORY, cwd=application, USAGE_STORE_DATABASE="exits:database")
    assert done.returncode == 0
    file = f"{application / 'exits:database'} (from $USAGE_STORE_DATABASE)"
    assert done.stdout.splitlines()[0] == f"version 0 of 2, 2 pending in {file}"
