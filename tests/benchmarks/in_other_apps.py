"""Measure what the package costs in somebody else's application: `python -m tests.benchmarks.in_other_apps [PART ...]`.

The parts are fixtures, thousand, plugin, fill, migrations, seed and check; without a name, all of them run. Every pair
that is compared takes turns in one run, because other processes make noise. The package must be installed, so that
pytest finds its plugin. The peer `pytest-alembic` is left out where it is not installed. It writes no rows.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from tests.benchmarks import projects_of_others as projects
from tests.benchmarks.turns import in_turns, quick
from usage_store.engines import open_database
from usage_store.migrate import MigrationRunner
from usage_store.models import sqlite
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import peewee

ROUNDS = 200  # tests of each kind
NO_PLUGIN = ("-p", "no:usage_store.pytest_plugin")
LOADING = """\
import time
import pytest
started = time.perf_counter()
import usage_store.pytest_plugin
print(time.perf_counter() - started)
"""


def run(folder: Path, *words: str, codes: Sequence[int] = (0,), **extra: str) -> str:
    """Run Python in a folder, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("USAGE_STORE_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment |= extra
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_pytest(folder: Path, *words: str) -> float:
    """Run the tests of a folder, and return the seconds."""
    started = time.perf_counter()
    run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "temporary"), *words)
    return time.perf_counter() - started


def of_processes(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the processor time, in seconds, of the processes that each call starts. The calls take turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(rounds):
        for name in names:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            calls[name]()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        names.reverse()
    return taken


def both_times(call: Callable[[], object]) -> str:
    """Run a call that starts processes, and return its seconds by the clock and by processor time."""
    started = time.perf_counter()
    (processor,) = of_processes({"": call}, 1)[""]
    return f"{time.perf_counter() - started:.1f} s ({processor:.1f} s of processor time)"


def fixtures(folder: Path) -> None:
    """Print the milliseconds of a test with each fixture, above a test with `tmp_path` alone."""
    projects.write(
        folder, {"conftest.py": projects.TIMER + projects.TURNS, "test_kinds.py": projects.KINDS.format(rounds=ROUNDS)}
    )
    with closing(open_database(folder / "made.db")) as database:
        MigrationRunner(database).migrate()
        database.execute_sql("VACUUM INTO ?", (str(folder / "template.db"),))
    run_pytest(folder)
    seconds = json.loads((folder / "seconds.json").read_text())
    middle = {name.removeprefix("test_"): statistics.median(taken) * 1000 for name, taken in seconds.items()}
    print(f"a test with tmp_path takes {middle['tmp_path']:.2f} ms; above that, medians of {ROUNDS}:")
    floor = middle["raw_copy"] - middle["tmp_path"]
    for name in ("raw_copy", "usage_database", "seeded_usage_database"):
        above = middle[name] - middle["tmp_path"]
        print(f"  {name:22} {above:6.2f} ms  {above / floor:5.2f} x raw copy, open and close")


def thousand(folder: Path) -> None:
    """Print the seconds of 1,000 tests with `usage_database` above 1,000 empty ones."""
    for name, argument in {"empty": "", "used": ", usage_database"}.items():
        text = 'import pytest\n\n@pytest.mark.parametrize("number", range(1000))\n'
        projects.write(folder / name, {"test_many.py": f"{text}def test_one(number{argument}):\n    pass\n"})
    taken = in_turns({name: [partial(run_pytest, folder / name)] for name in ("empty", "used")}, 3)
    empty, used = (statistics.median(taken[name].clock) for name in ("empty", "used"))
    print(f"1,000 empty tests {empty:.2f} s, with usage_database {used:.2f} s: {used - empty:.2f} s above")


def plugin(folder: Path) -> None:
    """Print what the plugin adds to the start of pytest where nobody uses it."""
    projects.write(folder, {"test_empty.py": "def test_nothing():\n    pass\n"})
    calls = {"with": partial(run_pytest, folder), "without": partial(run_pytest, folder, *NO_PLUGIN)}
    taken = of_processes(calls, 30)
    more = (quick(taken["with"]) - quick(taken["without"])) * 1000
    loading = quick([float(run(folder, "-c", LOADING)) for _ in range(30)]) * 1000
    print(
        f"pytest with one empty test takes {quick(taken['without']) * 1000:.0f} ms of processor time, and "
        f"{more:.1f} ms more with the plugin; loading the plugin takes {loading:.1f} ms"
    )


def rates(database: peewee.Database, empty: Path, count: int) -> tuple[int, float, float]:
    """Return how many rows `fill` adds, its processor time, and that of executemany with the same rows."""
    from usage_store.testing import fill

    started = time.process_time()
    added = fill(database, rows=count)
    filled = time.process_time() - started
    with closing(sqlite3.connect(empty, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous = OFF")
        stored = {table: database.execute_sql(f'SELECT * FROM "{table}"').fetchall() for table in added}
        started = time.process_time()
        raw.execute("BEGIN")
        for table, rows in stored.items():
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                raw.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({marks})', rows)
        raw.execute("COMMIT")
        return sum(added.values()), filled, time.process_time() - started


def rows_of_fill(folder: Path) -> None:
    """Print the rows that `fill` makes in a second of processor time, beside raw sqlite3."""

    def usage_tables(database: peewee.Database) -> None:
        MigrationRunner(database).migrate()

    def ten_tables(database: peewee.Database) -> None:
        for number in range(1, 101):
            database.execute_sql(projects.step(number)[0])

    for name, make in {"the usage tables": usage_tables, "ten tables": ten_tables}.items():
        for count in (3, 1000):
            paths = [folder / f"{name}{count}{which}.db" for which in ("filled", "raw")]
            databases = [open_database(path) for path in paths]
            for database in databases:
                make(database)
                database.execute_sql("PRAGMA synchronous = OFF")
            databases[1].close()
            rows, filled, raw = rates(databases[0], paths[1], count)
            databases[0].close()
            print(
                f"fill(rows={count}) of {name}: {rows:,} rows in {filled * 1000:.1f} ms, {rows / filled:,.0f}/s; "
                f"raw sqlite3 {rows / raw:,.0f}/s"
            )


def ready_made(folder: Path) -> None:
    """Print the seconds of the ready-made tests for 100 migrations with ten tables."""
    ours = projects.write(folder / "ours", projects.ours(100))
    for name, words in {"without the kills": ["-k", "not killed"], "with the kills of the newest ten": []}.items():
        print(f"the ready-made tests of 100 migrations, {name}: {both_times(partial(run_pytest, ours, *words))}")
    if importlib.util.find_spec("pytest_alembic") is None:
        print("pytest-alembic is left out: it is not installed")
        return
    peer = projects.write(folder / "peer", projects.of_alembic(100))
    print(f"pytest-alembic, one head, up, and up and down without rows: {both_times(partial(run_pytest, peer))}")


def making(database: peewee.Database, count: int) -> float:
    """Return the processor time in which `seed_usage` makes snapshots and their texts. Nothing is stored."""
    with patch.object(sqlite, "insert_many", lambda _, rows: len(rows)), database.atomic() as transaction:
        started = time.process_time()
        seed_usage(database, snapshots=count)
        taken = time.process_time() - started
        transaction.rollback()
    return taken


def storing(path: Path, rows: Sequence[Sequence[object]]) -> float:
    """Return the processor time in which raw sqlite3 stores the same rows."""
    with closing(open_database(path)) as database:
        MigrationRunner(database).migrate()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        started = time.process_time()
        raw.execute("BEGIN")
        raw.executemany("INSERT INTO usage_snapshots (session_id, snapshot_data, timestamp) VALUES (?, ?, ?)", rows)
        raw.execute("COMMIT")
        return time.process_time() - started


def seed(folder: Path) -> None:
    """Print the snapshots that `seed_usage` makes and stores in a second of processor time, beside raw sqlite3.

    The figures are medians of five, which take turns.
    """
    for count in (20_000, 100):
        made, stored, floor = [], [], []
        for number in range(5):
            with closing(open_database(folder / f"seeded{count}{number}.db")) as database:
                MigrationRunner(database).migrate()
                made.append(making(database, count))
                started = time.process_time()
                seed_usage(database, snapshots=count)
                stored.append(time.process_time() - started)
                rows = database.execute_sql("SELECT session_id, snapshot_data, timestamp FROM usage_snapshots")
                floor.append(storing(folder / f"raw{count}{number}.db", rows.fetchall()))
        each = {"made": made, "made and stored": stored, "stored by raw sqlite3": floor}
        print(f"seed_usage(snapshots={count:,}):")
        for name, seconds in each.items():
            middle = statistics.median(seconds)
            print(f"  {name:22} {middle * 1000:8.1f} ms of processor time, {count / middle:,.0f} snapshots/s")


def check(folder: Path) -> None:
    """Print the milliseconds of `check` as a process, with options, and with a configuration file instead."""
    step = projects.migrations(1)
    options = ("--database", "app.db", "--directory", "migrations", "--table", "app_migrations")
    settings = '[tool.usage_store]\ndatabase = "app.db"\ndirectory = "migrations"\ntable = "app_migrations"\n'
    plain, configured = (
        projects.write(folder / "plain", step),
        projects.write(folder / "configured", {**step, "pyproject.toml": settings}),
    )
    module = ("-m", "usage_store.migrate")
    for place in (plain, configured):
        run(place, *module, *options)
    calls: dict[str, Callable[[], object]] = {
        "import peewee": partial(run, plain, "-c", "import peewee"),
        "check with options": partial(run, plain, *module, *options, "check"),
        "check with a configuration file": partial(run, configured, *module, "check"),
    }
    for name, seconds in of_processes(calls, 30).items():
        print(f"  {name:32} {quick(seconds) * 1000:6.1f} ms of processor time")


PARTS: dict[str, Callable[[Path], None]] = {
    "fixtures": fixtures,
    "thousand": thousand,
    "plugin": plugin,
    "fill": rows_of_fill,
    "migrations": ready_made,
    "seed": seed,
    "check": check,
}


def main(names: Iterable[str]) -> None:
    """Run the parts with these names."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
