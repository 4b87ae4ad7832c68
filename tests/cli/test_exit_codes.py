"""Each kind of error has its exit code, and one line that names it."""

from __future__ import annotations

import json
import os
import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import (
    OWN,
    UNPRIVILEGED,
    app,
    besides_the_file,
    called,
    command,
    error,
    maintain_command,
    needs_setpriv,
    run,
)
from tests.support.databases import dump, files_of, names, raw, rows, script
from tests.support.migrations import history, migrate_all, python, sql, table, write
from tests.support.programs import READY, await_ready, finish, run_python, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.databases import Target


def everything(target: Target) -> list[Any]:
    """Give everything in a database, and the history and the log with their times."""
    kept = [name for name in ("schema_migrations", "schema_migration_log") if name in names(target)]
    return [dump(target), *(sorted(rows(target, f"SELECT * FROM {name}"), key=repr) for name in kept)]


def gone(folder: Path) -> None:
    (folder / "own" / "001_one.py").unlink()
    script(app(folder), "DELETE FROM schema_migration_log")  # which keeps the source


def newer(folder: Path) -> None:
    (folder / "own" / "002_two.py").unlink()
    script(app(folder), "DELETE FROM schema_migration_log")


def late(folder: Path) -> None:
    script(app(folder), "DROP TABLE one; DELETE FROM schema_migrations WHERE version = 1")


def not_history(folder: Path) -> None:
    script(app(folder), "DROP TABLE schema_migrations; CREATE TABLE schema_migrations (a INTEGER)")


def drifted(folder: Path) -> None:
    script(app(folder), "ALTER TABLE one ADD COLUMN extra INTEGER")


def dangling(folder: Path) -> None:
    script(app(folder), "CREATE TABLE c (a REFERENCES one(id)); INSERT INTO c VALUES (7)")


def duplicate(folder: Path) -> None:
    write(folder / "own", {"2_again": table("again")})


def no_directory(folder: Path) -> None:
    shutil.rmtree(folder / "own")


def failing(folder: Path) -> None:
    write(folder / "own", {"003_bad": sql("CREATE TABLE bad (a INTEGER)", "no sql")})


def leaving(folder: Path) -> None:
    write(folder / "own", {"003_bad": python("import sys; sys.exit(0)")})


def no_database(folder: Path) -> None:
    (folder / "app.db").write_text("this is no database at all, but a text that is long enough to tell\n" * 20)


def destroyed(folder: Path) -> None:
    with (folder / "app.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3000)


def a_folder(folder: Path) -> None:
    (folder / "app.db").unlink()
    (folder / "app.db").mkdir()


FAILED = {
    True: ("003_bad.py, line 3: ", 'at or near "no"'),
    False: ('003_bad.py, line 3: OperationalError: near "no"',),
}


@pytest.mark.parametrize(
    ("spoil", "words", "code", "said"),
    [
        (duplicate, (), 2, "2_again.py"),
        (duplicate, ("status",), 2, "002_two.py"),
        (no_directory, ("status",), 2, "own: no such directory of migrations"),
        (gone, ("rollback", "0"), 3, "001_one was applied and its file is gone"),
        (not_history, ("rollback",), 3, "not a history table (columns a)"),
        (newer, ("rollback",), 5, "the database has 002_two"),
        (failing, (), 7, "003_bad.py, line 3: "),
        (failing, (), 7, "; statement: no sql; rolled back; applied before it: nothing"),
        (leaving, (), 7, "003_bad.py, line 2: SystemExit"),
        (failing, ("plan",), 7, "003_bad.py, line 3"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    anywhere: Path, spoil: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    target = app(anywhere)
    migrate_all(target, anywhere / "own")
    spoil(anywhere)
    before = everything(target)
    line = error(anywhere, *words, code=code, by=called)
    assert said in line
    if spoil is failing:
        assert all(part in line for part in FAILED[isinstance(target, str)])
    assert everything(target) == before


@pytest.mark.parametrize(
    ("spoil", "words", "code", "said"),
    [
        (no_database, (), 8, "app.db: not a database"),
        (no_database, ("status",), 8, "app.db: not a database"),
        (no_database, ("validate",), 8, "app.db: not a database"),
        (no_database, ("plan",), 8, "app.db: not a database"),
        (no_database, ("rollback",), 8, "app.db: not a database"),
        (destroyed, ("status",), 8, "corrupt"),
        (destroyed, (), 8, "corrupt"),
        (a_folder, (), 8, "app.db"),
        (a_folder, ("status",), 8, "app.db"),
    ],
)
def test_an_error_of_a_file_is_one_line_and_its_exit_code(
    folder: Path, spoil: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    migrate_all(folder / "app.db", folder / "own")
    spoil(folder)
    before = files_of(folder)
    assert said in error(folder, *words, code=code, by=called)
    after = files_of(folder)
    if (folder / "app.db").is_file():
        assert after.pop("app.db")[:16] == before.pop("app.db")[:16]
    assert after == before


@pytest.mark.parametrize(
    ("spoil", "words", "code", "said"),
    [
        (gone, ("status",), 3, "problem: 001_one was applied and its file is gone"),
        (late, ("status",), 3, "problem: 001_one.py would run out of order"),
        (not_history, ("status",), 3, "problem: schema_migrations: not a history table"),
        (newer, ("status",), 5, "problem: the database has 002_two"),
        (gone, ("validate",), 3, "problem: 001_one was applied"),
        (drifted, ("validate",), 4, "problem: one.extra is not from a migration"),
        pytest.param(
            *(dangling, ("validate",), 4, "problem: c has rows that refer to missing rows in one (1)"),
            marks=pytest.mark.only_on("sqlite", "foreign keys"),
        ),
        (newer, ("validate",), 5, "problem: the database has 002_two"),
    ],
)
def test_status_and_validate_list_problems(
    anywhere: Path, spoil: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    target = app(anywhere)
    migrate_all(target, anywhere / "own")
    spoil(anywhere)
    before = everything(target)
    done = run(anywhere, *words, code=code, by=called)
    assert any(line.startswith(said) for line in done.stdout.splitlines())
    assert "valid\n" not in done.stdout
    assert done.stderr == ""
    assert everything(target) == before


LOCK = f"""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
{READY}
connection.close()
"""
needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh, to limit the size of files")


def test_the_exit_codes_are_those_that_the_help_lists(tmp_path: Path) -> None:
    shown = command("--help", cwd=tmp_path).stdout
    listed = re.findall(r"^  (\d+) +[a-z]", shown.partition("exit codes:")[2], re.MULTILINE)
    assert sorted(map(int, listed)) == [*range(9), 70, 130]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_locked_database_exits_with_code_6(folder: Path, mode: str) -> None:
    run(folder, code=0)
    script(folder / "app.db", f"PRAGMA journal_mode = {mode}")
    write(folder / "own", {"003_three": table("three")})
    writer = start(LOCK, folder / "app.db", "BEGIN IMMEDIATE" if mode == "WAL" else "BEGIN EXCLUSIVE", cwd=folder)
    await_ready(writer)
    assert "another process holds the database's lock" in error(folder, "--wait", "0.2", code=6)
    assert "another process holds the database's lock" in error(folder, "rollback", "--wait", "0.2", code=6)
    if mode == "WAL":
        run(folder, "status", code=0)
        run(folder, "validate", code=0)
    else:
        error(folder, "status", "--wait", "0.2", code=6)
    assert finish(writer).code == 0
    assert history(folder / "app.db") == [1, 2]
    assert not (folder / "app.db-migrate").exists()


@needs_setpriv
@pytest.mark.parametrize(("what", "mode"), [("file", "WAL"), ("folder", "WAL"), ("both", "WAL"), ("file", "DELETE")])
def test_a_read_only_database_exits_with_8_and_can_be_read(folder: Path, what: str, mode: str) -> None:
    data = folder / "data"
    data.mkdir()
    place = ("--database", "data/app.db", "--directory", "own", "--table", "schema_migrations")
    migrate_all(data / "app.db", folder / "own")
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
def test_a_file_without_read_permission_exits_with_8(folder: Path) -> None:
    run(folder, code=0)
    (folder / "app.db").chmod(0)
    for words in ((), ("status",), ("validate",), ("rollback",)):
        assert "app.db" in error(folder, *words, code=8, by=partial(command, before=UNPRIVILEGED))


@needs_sh
def test_after_the_error_of_a_full_disk_the_migrations_can_be_run_again(folder: Path) -> None:
    filling = "\n".join(
        f'    db.execute_sql("INSERT INTO one (title) VALUES (hex(zeroblob({4000 + n})))")' for n in range(20)
    )
    write(folder / "own", {"003_fill": f"def up(migrator, db):\n{filling}\n\ndef down(migrator, db):\n    pass\n"})
    path = folder / "app.db"
    migrate_all(path, folder / "own")
    expected = dump(path)
    codes = []
    for blocks in (1, 16, 48, 96, 160, 256, 2000):
        for file in folder.glob("app.db*"):
            file.unlink()
        limited = ("sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh")
        done = command(*OWN, cwd=folder, before=limited)
        assert re.fullmatch(r"(error: .+\n)?", besides_the_file(done))
        codes.append(done.returncode)
        migrate_all(path, folder / "own")
        assert dump(path) == expected
    assert codes[-1] == 0
    assert set(codes) == {0, 8}


EVERY = [
    "",
    "status",
    "check",
    "validate",
    "plan",
    "rehearse",
    "log",
    "backup",
    "rollback",
    "stamp 1",
    "adopt playhouse",
]


def of_each_command(folder: Path, target: str) -> Iterator[subprocess.CompletedProcess[str]]:
    for words in [*EVERY, "restore app.db"]:
        yield called(*words.split(), "--database", target, *OWN[2:], cwd=folder)
    yield maintain_command("--database", target, cwd=folder)
    yield run_python("-m", "usage_store.convert", target, cwd=folder)


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("sqlite:///a%00b", 2, "'sqlite:///a%00b' holds a NUL character, which no path can"),
        ("sqlite://[bad/x", 2, "sqlite://[bad/x: not a URL (Invalid IPv6 URL)"),
        ("loop", 8, "loop: "),
        ("pipe", 8, "pipe: cannot be opened: it is not a file"),
        ("sqlite:///loop", 8, "loop: "),
        ("n" * 300, 8, "n" * 300),
    ],
)
def test_a_path_that_cannot_be_a_file_is_one_line_in_every_command(
    folder: Path, target: str, code: int, said: str
) -> None:
    run(folder, by=called)
    (folder / "loop").symlink_to("pool")
    (folder / "pool").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    before = files_of(folder)
    for done in of_each_command(folder, target):
        assert done.returncode == code, done
        assert re.fullmatch(r"error: .+\n", done.stderr)
        assert said in done.stderr
        assert done.stdout == ""
    assert files_of(folder) == before


def test_a_missing_file_is_the_same_by_path_and_by_url(folder: Path) -> None:
    for words in [*EVERY, "restore none"]:
        by_path, by_url = (
            called(*words.split(), "--database", target, *OWN[2:], cwd=folder)
            for target in ("missing.db", "sqlite:///missing.db")
        )
        for file in folder.glob("missing.db*"):
            file.unlink()
        if words not in ("", "plan", "stamp 1"):
            assert (by_path.returncode, by_path.stdout, by_path.stderr) == (
                by_url.returncode,
                by_url.stdout,
                by_url.stderr,
            )
        if by_path.returncode == 8:
            assert by_path.stderr.startswith(
                f"error: {folder}/missing.db: no such database" if words != "restore none" else "error: /"
            )
        assert by_path.returncode == by_url.returncode


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("GeneratorExit('why')", "GeneratorExit: why ("),
        ("Odd('why')", "Odd: why ("),
    ],
)
def test_an_unforeseen_error_is_one_line_and_exits_with_70(folder: Path, raised: str, said: str) -> None:
    body = f"class Odd(BaseException): pass\ndb.execute_sql('CREATE TABLE half (a)')\nraise {raised}"
    write(folder / "own", {"003_odd": python(body)})
    message = error(folder, code=70, by=command)
    assert message.startswith(f"error: {said}")
    assert "003_odd.py, line 4); nobody foresaw it, --verbose shows the traceback" in message
    assert "half" not in dump(folder / "app.db")
    verbose = command("--verbose", *OWN, cwd=folder)
    assert verbose.returncode == 70
    assert "Traceback (most recent call last):" in verbose.stderr
    data = json.loads(called("--json", *OWN, cwd=folder).stdout)
    assert (data["exit_code"], data["error"]) == (70, raised.partition("(")[0])


@pytest.mark.parametrize(
    "body",
    [
        "import sys; sys.exit()",
        "raise SystemExit('text')",
        "raise RecursionError",
        "raise MemoryError",
        "'\\udc80'.encode()",
        "db.execute_sql('SELECT ?', ('\\udc80',))",
        "db.close()",
        "db.connection().close()",
    ],
)
def test_any_error_of_a_migration_exits_with_7(folder: Path, body: str) -> None:
    write(folder / "own", {"003_raises": python(body)})
    assert "003_raises.py" in error(folder, code=7, by=called)
    assert history(folder / "app.db") == [1, 2]


HOLDS_UP = """
import sys
from peewee import SqliteDatabase
database = SqliteDatabase("app.db", timeout=0.2)
"""


def test_a_reader_that_blocks_the_commit_exits_with_6(folder: Path) -> None:
    (folder / "application.py").write_text(HOLDS_UP)  # the command line's own would switch to WAL
    run(folder, code=0)
    script(folder / "app.db", "PRAGMA journal_mode = DELETE")
    write(folder / "own", {"003_three": table("three"), "004_four": table("four")})
    before = dump(folder / "app.db")
    with raw(folder / "app.db") as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM one").fetchall()
        for words in ((), ("rollback", "--no-backup")):
            done = command(*words, "--database", "application:database", "--wait", "0.2", *OWN[2:], cwd=folder)
            assert done.returncode == 6
            assert re.fullmatch(r"error: app\.db: another process holds the database's lock; .+\n", done.stderr)
    assert dump(folder / "app.db") == before
    done = command("--database", "application:database", *OWN[2:], cwd=folder)
    assert (done.returncode, history(folder / "app.db")) == (0, [1, 2, 3, 4])
