"""Ctrl-C and SIGTERM at any moment: exit code 130 or 143, no traceback, nothing half done, no files left over."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import app, besides_the_file, own
from tests.support.databases import dump, fill, names, rows, script
from tests.support.engines import differs
from tests.support.migrations import THREE, history, migrate_all, python, runner_of, table, write
from tests.support.postgresql_servers import drop_schema, schema_of
from tests.support.programs import TIMEOUT, Ended, finish, line_of, run_python, running, start
from tests.support.snapshots import filled
from tests.test_convert import ORIGINAL
from usage_store.engines.sqlite.copies.back_up import back_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

OWN = ("--database", "app.db", "--directory", "own", "--table", "schema_migrations")
HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell's job may not have

# Copies of one process that has all modules receive a signal at every n-th call of a function of the package.
AT_EACH_STEP = """
import os, shutil, signal, sys
from importlib import import_module
from pathlib import Path

number, points, *words = sys.argv[1:]
main = import_module("usage_store.cli.main").main
package = str(Path(import_module("usage_store").__file__).parent)
for name in "cli.migrate_commands", "cli.backup_commands", "cli.usage_commands", "migrate.validate", "migrate.rehearse":
    import_module(f"usage_store.{name}")
signal.signal(signal.SIGINT, signal.default_int_handler)


def run(folder, stop):
    entered = 0

    def look(frame, event, argument):
        nonlocal entered
        if event == "call" and frame.f_code.co_filename.startswith(package):
            entered += 1
            if entered == stop:
                sys.setprofile(None)
                os.kill(os.getpid(), int(number))

    shutil.copytree("prepared", folder)
    os.chdir(folder)
    given = words
    if Path("server.url").exists():  # a schema of its own
        import psycopg
        server, schema = Path("server.url").read_text().split()
        with psycopg.connect(server) as connection:
            connection.execute(f"CREATE SCHEMA {schema}_{folder}")
        given = [*words, "--database", f"{server}{'&' if '?' in server else '?'}schema={schema}_{folder}"]
    os.dup2(os.open("said", os.O_CREAT | os.O_WRONLY), 2)
    os.dup2(2, 1)
    sys.setprofile(look)
    try:
        code = main(given)
    except KeyboardInterrupt:  # before it listens; `python -m` ends so
        code = 130
    finally:
        sys.setprofile(None)
        Path("entered").write_text(str(entered))
    os._exit(code)


def child(folder, stop):
    process = os.fork()
    if process == 0:
        try:
            run(folder, stop)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


print(child("undisturbed", 0), flush=True)
all_of_them = int(Path("undisturbed/entered").read_text())
for stop in range(1, all_of_them, max(1, all_of_them // int(points))):
    print(child(str(stop), stop), stop)
"""


def at_each_step(folder: Path, number: int, words: str, points: int = 28) -> dict[str, int]:
    """Interrupt a command at many of its steps, each time in a copy of a folder. Return the exit codes by copy."""
    on_a_server = (folder / "prepared" / "server.url").exists()
    where = OWN[2 * on_a_server :] if words.startswith("migrate") else ()
    done = run_python("-c", AT_EACH_STEP, str(int(number)), str(points), *words.split(), *where, cwd=folder)
    assert done.returncode == 0, done.stderr
    usual, *codes = done.stdout.splitlines()
    assert int(usual) == 0, (folder / "undisturbed" / "said").read_text()
    return {stop: int(code) for code, stop in map(str.split, codes)}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Return a folder in which every command has something to do."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    own = write(folder / "own", {"001_one": table("one")})
    fill(folder / "app.db", 300)
    migrate_all(folder / "app.db", own)
    back_up(folder / "app.db", 1).rename(folder / "old.backup")
    script(folder / "app.db", "DELETE FROM item WHERE id > 100")
    write(own, {"002_two": table("two"), "003_three": table("three")})
    filled(folder / "usage.db", 40)
    script(folder / "original.db", ORIGINAL)
    return tmp_path


def state(file: Path) -> Any:
    found = dump(file)
    for name in ("usage_sessions", "schema_migration_log"):  # whose other columns are times
        found[name] = [row[0] for row in found.get(name, ())]
    return found


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("migrate", "app.db"),
        ("migrate rollback", "app.db"),
        ("migrate validate", "app.db"),
        ("migrate backup", "app.db"),
        ("migrate rehearse", "app.db"),
        ("migrate restore old.backup", "app.db"),
        ("migrate stamp 3", "app.db"),
        ("maintain --database usage.db --retention-days 30", "usage.db"),
        ("convert original.db", "original.db"),
    ],
)
def test_ctrl_c_at_any_step_is_130_and_leaves_nothing_half_done(prepared: Path, words: str, file: str) -> None:
    codes = at_each_step(prepared, signal.SIGINT, words)
    assert set(codes.values()) <= {0, 130}
    assert list(codes.values()).count(130) > 14
    allowed = [state(prepared / "prepared" / file), state(prepared / "undisturbed" / file)]
    for stop in codes:
        folder = prepared / stop
        assert (folder / "said").read_text().count("Traceback") == 0
        assert not [path.name for path in folder.iterdir() if "partial" in path.name or "rehearsal" in path.name]
        found = state(folder / file)
        if words == "migrate":  # one after the other
            applied = history(folder / file)
            assert applied in ([1], [1, 2], [1, 2, 3])
            assert ("two" in found, "three" in found) == (2 in applied, 3 in applied)
        elif not words.startswith("maintain"):  # which goes on from there
            assert found in allowed, stop


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_a_signal_at_any_step_leaves_whole_migrations_on_a_server(
    tmp_path: Path, postgresql_url: str, number: signal.Signals, code: int
) -> None:
    server, schema = postgresql_url.rpartition("schema=")[0][:-1], schema_of(postgresql_url)
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "server.url").write_text(f"{server}\n{schema}")
    write(tmp_path / "prepared" / "own", THREE)
    codes = at_each_step(tmp_path, number, "migrate", points=12)
    assert set(codes.values()) <= {0, code, 130, -number}  # the last two before and after it listens
    assert list(codes.values()).count(code) > 6
    for stop in ("undisturbed", *codes):
        url = f"{postgresql_url}_{stop}"
        assert "Traceback" not in (tmp_path / stop / "said").read_text()
        found = names(url)
        applied = history(url) if "schema_migrations" in found else []
        assert applied == [1, 2, 3][: len(applied)]
        assert [name in found for name in ("one", "two", "three")] == [each in applied for each in (1, 2, 3)]
    unfinished = next(f"{postgresql_url}_{stop}" for stop in reversed(codes) if codes[stop] == code)
    migrate_all(unfinished, tmp_path / "prepared" / "own", wait=5)
    assert history(unfinished) == [1, 2, 3]
    for stop in ("undisturbed", *codes):
        drop_schema(server, f"{schema}_{stop}")


def test_sigterm_leaves_no_copies(prepared: Path) -> None:
    for words in ("migrate backup", "migrate rehearse"):
        codes = at_each_step(prepared, signal.SIGTERM, words, points=12)
        assert set(codes.values()) <= {0, 143, 130, -signal.SIGTERM}  # the last two before and after it listens
        assert list(codes.values()).count(143) > 6
        for stop in codes:
            left = [path.name for path in (prepared / stop).iterdir()]
            assert not [name for name in left if "partial" in name or "rehearsal" in name]
            shutil.rmtree(prepared / stop)
        shutil.rmtree(prepared / "undisturbed")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT at_it() UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
LONG = f"""
import os

def up(migrator, db):
    db.execute_sql("CREATE TABLE long (a INT)")
    if hasattr(db.connection(), "create_function"):
        db.connection().create_function("at_it", 0, lambda: os.write(1, b"at it\\n"))
        db.execute_sql("INSERT INTO long {ENDLESS}")
    os.write(1, b"at it\\n")
    db.execute_sql("INSERT INTO long SELECT 1 FROM pg_sleep(1000)")


def down(migrator, db):
    db.execute_sql("DROP TABLE long")
"""
MIGRATE = "import sys; from usage_store.cli.main import main; sys.exit(main(['migrate', *sys.argv[1:]]))"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_a_statement_that_never_ends(anywhere: Path, number: signal.Signals, code: int) -> None:
    write(anywhere / "own", {"002_two": LONG})
    (anywhere / "own" / "002_two.py").rename(anywhere / "own" / "002_long.py")
    process = start(HEARD + MIGRATE, *own(anywhere), cwd=anywhere)
    with running(process):
        assert line_of(process).startswith("applied 001_one")
        assert line_of(process) == "at it\n"
        process.send_signal(number)
        said = "" if differs(app(anywhere), "files") else f"created {anywhere}/app.db\n"
        assert finish(process, "") == Ended(code, "", said)
    assert history(app(anywhere)) == [1]
    assert "long" not in names(app(anywhere))
    assert not (anywhere / "app.db-migrate").exists()
    if isinstance(app(anywhere), str):
        await_its_end(app(anywhere))


def await_its_end(url: Target) -> None:
    """Wait until the server runs the statement no more."""
    running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM pg_sleep(1000)'"
    ends = time.monotonic() + TIMEOUT / 10
    while rows(url, running):
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_ctrl_c_ends_the_wait_for_a_lock(anywhere: Path) -> None:
    write(anywhere / "own", {"003_waits": python("print('at it', flush=True); input()")})
    with runner_of(app(anywhere), anywhere / "own") as runner:
        runner.migrate(2)
    first = start(HEARD + MIGRATE, *own(anywhere), cwd=anywhere)
    with running(first):
        assert line_of(first) == "at it\n"
        second = start(HEARD + "import os; os.dup2(1, 2)\n" + MIGRATE, *own(anywhere), cwd=anywhere)
        with running(second):
            assert line_of(second).startswith("another process is migrating this database")
            second.send_signal(signal.SIGINT)
            assert finish(second, "") == Ended(130, "", "")
        assert finish(first).code == 0
    assert history(app(anywhere)) == [1, 2, 3]


def test_a_command_started_with_ctrl_c_ignored_keeps_ignoring_it(anywhere: Path) -> None:
    """A background job of a shell ignores Ctrl-C, and so does a command under nohup."""
    write(anywhere / "own", {"001_one": python("import os, signal; os.kill(os.getpid(), signal.SIGINT)")})
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    assert run_python("-c", ignored + MIGRATE, *own(anywhere), cwd=anywhere).returncode == 0


def test_a_process_that_a_migration_forks_is_ended_by_sigterm(anywhere: Path) -> None:
    forks = """
import os, signal, time
child = os.fork()
if child == 0:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print("lived on", flush=True)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
"""
    write(anywhere / "own", {"001_one": python(forks)})
    done = run_python("-m", "usage_store.migrate", *own(anywhere), cwd=anywhere)
    assert (done.returncode, besides_the_file(done)) == (0, "")
    assert done.stdout.startswith("applied 001_one")
