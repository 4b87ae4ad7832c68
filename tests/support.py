"""What several tests need: migration files, connections, processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.driver import sqlite3
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import peewee

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300  # seconds; only a hang gets there, however busy the machine is
ROUNDS = int(os.environ.get("USAGE_STORE_TEST_ROUNDS", "1"))  # multiplies what the tests marked `long` repeat


def python(up: str, down: str | None = None, *, atomic: bool = True) -> str:
    """A migration's source from the bodies of its functions."""
    parts = [] if atomic else ["atomic = False"]
    for name, body in (("up", up), ("down", down)):
        if body is not None:
            code = textwrap.indent(textwrap.dedent(body).strip("\n") or "pass", "    ")
            parts.append(f"def {name}(migrator, db):\n{code}")
    return "\n\n".join(parts) + "\n"


def sql(*up: str, down: Sequence[str] | None = (), atomic: bool = True) -> str:
    """A migration's source from SQL statements; `down=None` leaves `down` out."""

    def body(statements: Sequence[str]) -> str:
        return "\n".join(f"db.execute_sql({statement!r})" for statement in statements) or "pass"

    return python(body(up), None if down is None else body(down), atomic=atomic)


def table(name: str) -> str:
    """A migration that makes a table, and drops it on the way down."""
    return sql(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, title TEXT)", down=[f"DROP TABLE {name}"])


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write migrations, their names without `.py`, and give the directory."""
    directory.mkdir(exist_ok=True)
    for name, source in files.items():
        (directory / f"{name}.py").write_text(source, encoding="utf-8")
    return directory


@contextmanager
def opened(path: Path) -> Iterator[peewee.SqliteDatabase]:
    """Open a database as this package does: foreign keys on, WAL."""
    database = open_database(path)
    try:
        yield database
    finally:
        if not database.is_closed():
            database.close()


@contextmanager
def runner_of(
    path: Path, directory: Path, table_name: str = "schema_migrations", **options: Any
) -> Iterator[MigrationRunner]:
    """Open a database and give a runner on it."""
    with opened(path) as database:
        yield MigrationRunner(database, directory, table_name, **options)


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database as any other program would: no pragmas, autocommit."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=TIMEOUT)
    try:
        yield connection
    finally:
        connection.close()


def script(path: Path, statements: str) -> None:
    """Run SQL from outside."""
    with raw(path) as connection:
        connection.executescript(statements)


def rows(path: Path, query: str) -> list[Any]:
    """Query from outside."""
    with raw(path) as connection:
        return connection.execute(query).fetchall()


TIMES = ("applied_at", "logged_at", "seconds")


def dump(path: Path) -> dict[str, list[Any]]:
    """Everything in a database: the schema as written, and the rows of every table but for times."""
    with raw(path) as connection:
        return contents(connection)


def contents(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """The same as a connection sees it."""
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    found = {"schema": schema}
    for kind, name, *_ in schema:
        if kind == "table":
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            kept = ", ".join(f'"{column}"' for column in columns if column not in TIMES)
            found[name] = sorted(connection.execute(f'SELECT {kept} FROM "{name}"').fetchall(), key=repr)
    return found


def history(path: Path, name: str = "schema_migrations") -> list[int]:
    """The applied versions."""
    return [version for (version,) in rows(path, f'SELECT version FROM "{name}" ORDER BY version')]


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, byte for byte, Python's own caches left out."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def environment(**extra: str) -> dict[str, str]:
    """The environment of a process that uses this checkout from another folder."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("USAGE_STORE_")}
    return {**ours, "PYTHONPATH": str(ROOT), **extra}


def command(
    *arguments: str | Path, cwd: Path, before: Sequence[str] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m usage_store.migrate`; `before` are words in front of it, `extra` environment variables."""
    words = [*before, sys.executable, "-m", "usage_store.migrate", *map(str, arguments)]
    return subprocess.run(
        words, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


READY = "print('ready', flush=True); input()\n"


def start(code: str, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start Python code that says a line and then waits for one, as READY does."""
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, cwd=cwd, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def running(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a process at the end of the block, if it has not ended by then, and close its pipes."""
    with process:
        try:
            yield
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that a started process says; nothing comes of one that hangs, or has ended."""
    assert process.stdout is not None
    hangs = threading.Timer(TIMEOUT, process.kill)
    hangs.start()
    try:
        return process.stdout.readline()
    finally:
        hangs.cancel()


def await_ready(process: subprocess.Popen[str]) -> None:
    """Wait for the line that a started process says."""
    if not line_of(process):
        raise AssertionError(process.communicate(timeout=TIMEOUT)[1])


def until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait for what a running process brings about."""
    hung = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < hung, "it hangs"
        time.sleep(0.001)


def finish(process: subprocess.Popen[str], line: str = "\n") -> Ended:
    """Let a started process go on, and wait for its end."""
    out, err = process.communicate(line, timeout=TIMEOUT)
    return Ended(process.returncode, out, err)


def together(count: int, code: str, *arguments: str | Path, cwd: Path) -> list[Ended]:
    """Run code that holds READY in so many processes, which all go on from there at the same moment."""
    processes = [start(code, *arguments, cwd=cwd) for _ in range(count)]
    for process in processes:
        await_ready(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [finish(process, "") for process in processes]


def forked(action: Callable[[], object]) -> int:
    """Run something in a copy of this process and give its exit code: 0 if it came to its end."""
    return os.waitstatus_to_exitcode(os.waitpid(_child(action), 0)[1])


def killed_after(seconds: float, action: Callable[[], object]) -> bool:
    """Run something in a copy of this process, and kill it; tell whether that came before its end."""
    child = _child(action)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _child(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT)  # ends it if it hangs
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return child
