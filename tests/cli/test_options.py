"""The command line with locked, read-only and full files, odd options, and passwords."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, files_of, script
from tests.support.migrations import history, runner_of, table, write
from tests.support.programs import READY, await_ready, command, finish, start
from usage_store.connection import redact

if TYPE_CHECKING:
    from pathlib import Path

LOCK = f"""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
{READY}
connection.close()
"""
# Without these root is held to the permissions of files like anybody else.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to drop root's privileges")
needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh, to limit the size of files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two migrations in `own`."""
    write(tmp_path / "own", {"001_one": table("one"), "002_two": table("two")})
    return tmp_path


def run(folder: Path, *words: str, code: int, before: tuple[str, ...] = ()) -> str:
    """Run a command on `app.db`, and give its stderr, which is one line if it failed."""
    done = command(
        *words, "--database", "app.db", "--directory", "own", "--table", "schema_migrations", cwd=folder, before=before
    )
    assert done.returncode == code, done.stderr
    assert re.fullmatch(r"error: .+\n" if code > 1 else "", done.stderr)
    return done.stderr


def migrate(path: Path, folder: Path) -> None:
    with runner_of(path, folder / "own") as runner:
        runner.migrate()


def test_the_exit_codes_are_those_that_the_help_lists(tmp_path: Path) -> None:
    shown = command("--help", cwd=tmp_path).stdout
    assert sorted(re.findall(r"\b(\d)  [a-z]", shown.partition("exit codes:")[2])) == list("012345678")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("rollback", "one"),
        ("rollback", "1", "2"),
        ("--nonsense",),
        ("--wait", "nan"),
        ("--wait", "-1"),
        ("--wait", "soon"),
        ("--wait", "1e99"),
        ("create",),
    ],
)
def test_odd_arguments_are_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", ""), "the database is an empty string"),
        (("--database", "postgres://host/db"), "stores in SQLite"),
        (("--database", "sqlite://relative.db"), "a SQLite URL is sqlite:/// and a path"),
        (("--database", "gone/app.db"), "its folder does not exist"),
        (("--table", "a b"), "'a b': a history table's name is a plain identifier"),
        (("--directory", "gone"), "gone: no such directory"),
    ],
)
def test_odd_values_are_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = command(*words, cwd=tmp_path)
    assert done.returncode in (2, 8)
    assert re.fullmatch(rf"error: .*{re.escape(said)}.*\n", done.stderr)


URLS = [
    "postgres://me:hunter2@host/db",
    "postgres://me:p@hunter2@host/db",
    "postgres://me:p/hunter2@host/db",
    "postgres://me:p#hunter2@host/db",
    "postgres://me:p?hunter2@host/db",
    "postgres://me:p:hunter2@host/db",
    "postgres://:hunter2@host/db",
    "postgres://host/db?user=me&password=hunter2",
    "postgres://host/db?sslpassword=hunter2&x=1",
    "postgres://host/db?password=p#hunter2",
    "sqlite://me:hunter2@host/app.db",
    "mysql+pool://me:hunter2@host:3306/db",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("message", ["{}", "{}: no such host", "not '{}' (choose from 'status', 'plan')", "a {} b@c"])
def test_a_password_in_a_message_is_replaced_and_nothing_else(url: str, message: str) -> None:
    shown = redact(message.format(url))
    assert "hunter2" not in shown
    assert "***" in shown
    before, after = message.split("{}")
    assert shown.startswith(before)
    assert shown.endswith(after)
    assert "host" in shown


@pytest.mark.parametrize(
    "text", ["sqlite:///a:b@c.db", "/var/lib/me@host:1.db", "postgres://me@host:5432/db", "a: b@c"]
)
def test_what_holds_no_password_is_shown_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("option", ["--database", "--verbose", "environment", "forgotten"])
def test_no_password_is_shown(tmp_path: Path, option: str) -> None:
    url = "postgres://me:hunter2@host/db"
    if option == "environment":
        done = command("status", cwd=tmp_path, USAGE_STORE_DATABASE=url)
    elif option == "forgotten":
        done = command(url, cwd=tmp_path)
    else:
        done = command("status", *(["--verbose"] if option == "--verbose" else []), "--database", url, cwd=tmp_path)
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "***@host/db" in done.stderr, "what is left of the URL helps to find it"


def test_verbose_shows_every_statement_and_the_traceback(folder: Path) -> None:
    done = command(
        "--verbose", "--database", "app.db", "--directory", "own", "--table", "schema_migrations", cwd=folder
    )
    assert done.returncode == 0
    assert "CREATE TABLE two" in done.stderr
    assert "applied 002_two in" in done.stderr
    assert "CREATE TABLE" not in done.stdout
    write(folder / "own", {"003_bad": "def up(migrator, db):\n    raise ValueError('the reason')\n"})
    done = command(
        "--verbose", "--database", "app.db", "--directory", "own", "--table", "schema_migrations", cwd=folder
    )
    assert done.returncode == 7
    assert 'own/003_bad.py", line 2, in up' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 003_bad.py, line 2: ValueError: the reason")


@pytest.mark.quick
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_locked_database_is_6(folder: Path, mode: str) -> None:
    run(folder, code=0)
    script(folder / "app.db", f"PRAGMA journal_mode = {mode}")
    write(folder / "own", {"003_three": table("three")})
    writer = start(LOCK, folder / "app.db", "BEGIN IMMEDIATE" if mode == "WAL" else "BEGIN EXCLUSIVE", cwd=folder)
    await_ready(writer)
    assert "another process holds the database's lock" in run(folder, "--wait", "0.2", code=6)
    assert "another process holds the database's lock" in run(folder, "rollback", "--wait", "0.2", code=6)
    if mode == "WAL":
        run(folder, "status", code=0)
        run(folder, "validate", code=0)
    else:
        run(folder, "status", "--wait", "0.2", code=6)
    assert finish(writer).code == 0
    assert history(folder / "app.db") == [1, 2]
    assert not (folder / "app.db-migrate").exists()


@needs_setpriv
@pytest.mark.parametrize(("what", "mode"), [("file", "WAL"), ("folder", "WAL"), ("both", "WAL"), ("file", "DELETE")])
def test_a_read_only_database_is_8_and_can_be_looked_at(folder: Path, what: str, mode: str) -> None:
    data = folder / "data"
    data.mkdir()
    place = ("--database", "data/app.db", "--directory", "own", "--table", "schema_migrations")
    migrate(data / "app.db", folder)
    script(data / "app.db", f"PRAGMA journal_mode = {mode}")
    write(folder / "own", {"003_three": table("three")})
    if what != "folder":
        (data / "app.db").chmod(0o444)
    if what != "file":
        data.chmod(0o555)
    before = files_of(data)
    for words in (("status",), ("validate",), ("plan",)):
        done = command(*words, *place, cwd=folder, before=UNPRIVILEGED)
        assert (done.returncode, done.stderr) == (0, "")
    assert files_of(data) == before
    for writing in ([], ["rollback"]):
        done = command(*writing, *place, cwd=folder, before=UNPRIVILEGED)
        assert done.returncode == 8, done.stderr
        assert re.fullmatch(r"error: data/app\.db.+\n", done.stderr)
    assert (data / "app.db").read_bytes() == before["app.db"]
    assert not (data / "app.db-migrate").exists()


@needs_setpriv
def test_a_file_that_may_not_be_read_is_8(folder: Path) -> None:
    run(folder, code=0)
    (folder / "app.db").chmod(0)
    for words in ((), ("status",), ("validate",), ("rollback",)):
        assert "app.db" in run(folder, *words, code=8, before=UNPRIVILEGED)


@needs_sh
def test_a_full_disk_is_an_error_after_which_everything_can_be_done_again(folder: Path) -> None:
    filling = "\n".join(
        f'    db.execute_sql("INSERT INTO one (title) VALUES (hex(zeroblob({4000 + n})))")' for n in range(20)
    )
    write(folder / "own", {"003_fill": f"def up(migrator, db):\n{filling}\n\ndef down(migrator, db):\n    pass\n"})
    path = folder / "app.db"
    migrate(path, folder)
    expected = dump(path)
    codes = []
    for blocks in (1, 16, 48, 96, 160, 256, 2000):
        for file in folder.glob("app.db*"):
            file.unlink()
        limited = ("sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh")
        done = command(
            "--database", "app.db", "--directory", "own", "--table", "schema_migrations", cwd=folder, before=limited
        )
        assert re.fullmatch(r"(error: .+\n)?", done.stderr)
        codes.append(done.returncode)
        migrate(path, folder)
        assert dump(path) == expected
    assert codes[-1] == 0
    assert set(codes) == {0, 8}
