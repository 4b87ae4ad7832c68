"""Measure the migration runner on PostgreSQL beside raw psycopg and Alembic."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.beside_psycopg import empty_schema, raw, seconds
from tests.benchmarks.migrations import write_files
from usage_store.engines import open_database
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

DDL = "CREATE TABLE t{0} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"  # as in the files
COUNTS = {100: 3, 1000: 1}  # rounds


def applied(server: str, _: argparse.Namespace) -> None:
    """Compare how long a number of migrations of one CREATE TABLE each take."""
    contenders: dict[str, Callable[[str, Path, int], dict[str, float]]]
    contenders = {"psycopg": _floor, "usage_store": _ours, "alembic": _alembic}
    for count, rounds in COUNTS.items():
        best: dict[str, dict[str, float]] = {}
        for _number in range(rounds):
            for name, contender in contenders.items():
                with tempfile.TemporaryDirectory() as folder, empty_schema(server) as url:
                    try:
                        took = contender(url, Path(folder), count)
                    except ImportError as error:
                        print(f"{name} is left out: {error}")
                        continue
                known = best.setdefault(name, took)
                best[name] = {what: min(each, known[what]) for what, each in took.items()}
        for what in ("apply", "nothing pending"):
            figures = ", ".join(f"{name} {took[what] * 1e3:,.0f} ms" for name, took in best.items() if what in took)
            print(f"{what} at {count}: {figures}")


def _floor(url: str, _: Path, count: int) -> dict[str, float]:
    with raw(url) as connection:
        connection.execute("CREATE TABLE history (version bigint PRIMARY KEY, name text, applied_at bigint)")

        def apply() -> None:
            for number in range(1, count + 1):
                with connection.transaction():
                    connection.execute(DDL.format(number))
                    connection.execute("INSERT INTO history VALUES (%s, %s, %s)", (number, f"t{number}", 1))

        return {"apply": seconds(apply)}


def _ours(url: str, folder: Path, count: int) -> dict[str, float]:
    database = open_database(url)
    try:
        runner = MigrationRunner(database, write_files(folder / "ours", "ours", count))
        return {"apply": seconds(runner.migrate), "nothing pending": seconds(runner.migrate)}
    finally:
        database.close()


def _alembic(url: str, folder: Path, count: int) -> dict[str, float]:
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    write_files(folder / "versions", "alembic", count)
    (folder / "env.py").write_text("", encoding="utf-8")
    creator: Any = partial(raw, url)
    engine = create_engine("postgresql+psycopg://", creator=creator)

    def run() -> None:
        config = Config()
        config.set_main_option("script_location", str(folder))
        script = ScriptDirectory.from_config(config)
        options = {"fn": lambda revision, _: script._upgrade_revs("head", revision), "transaction_per_migration": True}
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            with Operations.context(context):
                context.run_migrations()

    try:
        return {"apply": seconds(run), "nothing pending": seconds(run)}
    finally:
        engine.dispose()
