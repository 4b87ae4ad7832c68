"""Measure the migration runner beside raw sqlite3 and its peers: `python tests/benchmarks/migrations.py [COUNT ...]`.

Every contender applies the same small migrations (one CREATE TABLE each) to a fresh file in WAL mode with
synchronous=FULL. The figures are the minima of several rounds in one run. The contenders take turns, because commits
and other processes make noise. The ratios are to raw sqlite3 with one transaction for each migration, which is the
floor. Peers that are not installed are left out; `pip install peewee-migrate alembic` adds them. peewee_migrate
silently skips files from 1000 on. The cost of the log is the difference to a run without it; the cost of the guards is
the difference from there to the bare protocol.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.file.schema_hash import Fingerprint
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files import find_files
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.files.migrations_folder import Project
from usage_store.migrate.record.edited_files import find_edits
from usage_store.migrate.record.history_table import History
from usage_store.migrate.record.log_table import Log
from usage_store.migrate.record.which_to_run import with_paths

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
DDL = "CREATE TABLE t{0} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"

FILES = {
    "ours": 'def up(migrator, db):\n    db.execute_sql("' + DDL + '")\n',
    "peewee_migrate": 'def migrate(migrator, database, fake=False):\n    migrator.sql("' + DDL + '")\n',
    "alembic": "from alembic import op\n\nrevision = 'r{0}'\ndown_revision = {1!r}\n\n\n"
    'def upgrade():\n    op.execute("' + DDL + '")\n',
}


def write_files(folder: Path, kind: str, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        previous = f"r{number - 1}" if number > 1 else None
        (folder / f"{number:03d}_t{number}.py").write_text(FILES[kind].format(number, previous), encoding="utf-8")
    return folder


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def floor(folder: Path, count: int) -> dict[str, float]:
    with closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE history (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)")

        def apply() -> None:
            for number in range(1, count + 1):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(DDL.format(number))
                connection.execute("INSERT INTO history VALUES (?, ?, ?)", (number, f"t{number}", 1))
                connection.execute("COMMIT")

        return {
            f"apply {count}": timed(apply),
            f"nothing pending at {count}": timed(lambda: connection.execute("SELECT version FROM history").fetchall()),
        }


def an_application(path: Path) -> peewee.SqliteDatabase:
    """Create the file of an application, the same for all.

    A file created by this package would move pages when it shrinks.
    """
    database = peewee.SqliteDatabase(str(path), pragmas={"journal_mode": "wal", "synchronous": 2})
    database.connect()
    return database


def checks_alone(runner: MigrationRunner) -> None:
    """Do the checks of a run without its migrations: files and edits, damage before and after, references, schema."""
    records, engine, database = runner.records, runner.records.engine, runner.database
    files = records.files()
    find_edits(records.log, with_paths(records.history.applied(files), files))
    for _ in range(2):
        engine.damage(database)
    engine.violations(database)
    engine.Fingerprint(database).read()


def ours(folder: Path, count: int) -> dict[str, float]:
    database = an_application(folder / "ours.db")
    files = folder / f"ours{count}"
    runner = MigrationRunner(database, write_files(files, "ours", count))
    figures = {f"apply {count}": timed(runner.migrate), f"nothing pending at {count}": timed(runner.migrate)}
    figures[f"nothing pending at {count}, checksums"] = timed(runner.check)
    figures[f"one pending at {count}, its checks alone"] = timed(partial(checks_alone, runner))
    figures[f"validate at {count}"] = timed(runner.validate)
    write_files(files, "ours", count + 1)
    figures[f"one pending at {count}"] = timed(runner.migrate)
    (files / f"{count + 1:03d}_t{count + 1}.py").unlink()
    database.close()
    return figures


def without_log(folder: Path, count: int) -> dict[str, float]:
    """Time a run without its log and the fingerprint of the schema. The rest is the protocol and the guards."""
    append, read = Log.append, Fingerprint.read
    Log.append = lambda *_: None  # type: ignore[method-assign]
    Fingerprint.read = lambda _, **__: ""  # type: ignore[method-assign]
    try:
        database = an_application(folder / "without.db")
        runner = MigrationRunner(database, write_files(folder / f"ours{count}", "ours", count))
        figures = {f"apply {count}": timed(runner.migrate)}
        database.close()
    finally:
        Log.append, Fingerprint.read = append, read  # type: ignore[method-assign]
    return figures


def bare(folder: Path, count: int) -> dict[str, float]:
    """Time the protocol alone: find and load the files, and run each in a transaction with its history row."""
    database = an_application(folder / "bare.db")
    directory = write_files(folder / f"ours{count}", "ours", count)
    history = History(database, Project(str(directory), ("schema_migrations",)))

    def apply() -> None:
        history.create()
        for migration in find_files.discover(str(directory), "sqlite"):
            module = Loader().module(migration, "up", migration.read())
            with database.atomic("IMMEDIATE"):
                module.up(None, database)
                history.record(migration)

    figures = {f"apply {count}": timed(apply)}
    database.close()
    return figures


def playhouse(folder: Path, count: int) -> dict[str, float]:
    from playhouse.migrations import Runner

    database = an_application(folder / "play.db")
    files = folder / f"ours{count}"
    runner = Runner(database, str(write_files(files, "ours", count)))
    figures = {f"apply {count}": timed(runner.up), f"nothing pending at {count}": timed(runner.up)}
    write_files(files, "ours", count + 1)
    figures[f"one pending at {count}"] = timed(runner.up)
    (files / f"{count + 1:03d}_t{count + 1}.py").unlink()
    database.close()
    return figures


def peewee_migrate(folder: Path, count: int) -> dict[str, float]:
    from peewee_migrate import Router

    database = an_application(folder / "router.db")
    files = write_files(folder / f"router{count}", "peewee_migrate", count)
    quiet = logging.getLogger("benchmark")
    quiet.setLevel(logging.ERROR)

    def run() -> None:
        Router(database, migrate_dir=str(files), logger=quiet).run()

    figures = {f"apply {count}": timed(run), f"nothing pending at {count}": timed(run)}
    write_files(files, "peewee_migrate", count + 1)
    figures[f"one pending at {count}"] = timed(run)
    database.close()
    return figures


def alembic(folder: Path, count: int) -> dict[str, float]:
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, event

    scripts = folder / f"alembic{count}"
    write_files(scripts / "versions", "alembic", count)
    (scripts / "env.py").write_text("", encoding="utf-8")
    engine = create_engine(f"sqlite:///{folder / 'alembic.db'}")

    def durable(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    event.listen(engine, "connect", durable)

    def run() -> None:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        script = ScriptDirectory.from_config(config)
        options = {"fn": lambda revision, _: script._upgrade_revs("head", revision), "transaction_per_migration": True}
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            with Operations.context(context):
                context.run_migrations()

    figures = {f"apply {count}": timed(run), f"nothing pending at {count}": timed(run)}
    engine.dispose()
    return figures


def process(folder: Path) -> dict[str, float]:
    """Time whole processes: `check` on a migrated database, and the imports that it needs."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"USAGE_STORE_DATABASE": str(folder / "process.db")}

    def run(*words: str) -> None:
        subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)

    run("-m", "usage_store.migrate")
    run("-c", "import peewee")
    calls = {"check": ("-m", "usage_store.migrate", "check"), "import peewee": ("-c", "import peewee")}
    return {name: min(timed(partial(run, *words)) for _ in range(20)) for name, words in calls.items()}


CONTENDERS = {
    "sqlite3": floor,
    "usage_store": ours,
    "without its log": without_log,
    "bare protocol": bare,
    "playhouse": playhouse,
    "peewee_migrate": peewee_migrate,
    "alembic": alembic,
}


def measure(count: int, rounds: int) -> dict[str, dict[str, float]]:
    best: dict[str, dict[str, float]] = {}
    missing: set[str] = set()
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            if name in missing:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    figures = contender(Path(folder), count)
                except ImportError as error:
                    print(f"{name} is left out: {error}")
                    missing.add(name)
                    continue
            known = best.setdefault(name, figures)
            best[name] = {figure: min(seconds, known[figure]) for figure, seconds in figures.items()}
    return best


def print_shares(seconds: dict[str, float]) -> None:
    whole, unlogged, bare = (seconds[name] for name in ("usage_store", "without its log", "bare protocol"))
    print(f"  of this, log {(whole - unlogged) / whole:.0%}, guards {(unlogged - bare) / whole:.0%}")


def main(counts: list[int]) -> None:
    for count in counts:
        best = measure(count, ROUNDS if count <= 100 else 3)
        for figure in best["usage_store"]:
            print(f"\n{figure}")
            for name, figures in best.items():
                if figure in figures:
                    base = best["sqlite3"].get(figure)
                    ratio = f"{figures[figure] / base:8.2f} x sqlite3" if base and "apply" in figure else ""
                    print(f"  {name:15} {figures[figure] * 1000:10.1f} ms {ratio}")
            if figure.startswith("apply"):
                print_shares({name: figures[figure] for name, figures in best.items()})
    with tempfile.TemporaryDirectory() as folder:
        figures = process(Path(folder))
    print("\nwhole processes")
    for name, seconds in figures.items():
        print(f"  {name:15} {seconds * 1000:10.1f} ms {seconds / figures['import peewee']:8.2f} x import peewee")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [100, 1000])
