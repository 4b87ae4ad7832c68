"""With any content of history and log, a run succeeds, or it raises one line and changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.commands import called
from tests.support.databases import dump, opened, raw, rows
from tests.support.migrations import sql, write
from tests.support.programs import ROUNDS
from usage_store.errors import UsageStoreError
from usage_store.migrate import MigrationRunner

pytestmark = pytest.mark.long

NAMES = ("one", "two", "three", "four")
ODD = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=5), st.binary(max_size=20))
VERSIONS = st.integers(1, 6)
# Most values are valid, so that a run passes the first check.
HISTORY = st.lists(
    st.tuples(
        st.one_of(VERSIONS, VERSIONS, VERSIONS, ODD),
        st.one_of(st.just(""), st.just(""), st.just(""), ODD),
        st.one_of(st.just(1), st.just(1), ODD),
    ),
    max_size=4,
)
LOG = st.lists(
    st.tuples(
        st.one_of(VERSIONS, ODD),
        st.one_of(st.sampled_from(NAMES), ODD),
        st.one_of(st.sampled_from(["up", "down", "stamp"]), ODD),
        ODD,
        ODD,
        ODD,
        ODD,
        ODD,
        ODD,
    ),
    max_size=3,
)
FILES = st.sets(st.sampled_from(range(1, 5)), min_size=1)
COMMANDS = ("status", "check", "validate", "plan", "log", "rollback --no-backup")
TABLES = ((), ("--table", "schema_migrations"))  # without a name, the table is searched
LOOSE = "CREATE TABLE schema_migrations (version, name, applied_at)"
LOG_COLUMNS = "version, name, action, logged_at, seconds, checksum, source, fingerprint, package_version"


def name_of(version: Any, name: Any) -> Any:
    return NAMES[version - 1] if name == "" and isinstance(version, int) and 1 <= version <= 4 else name


def made(folder: Path, history: list[Any], log: list[Any], files: set[int]) -> tuple[Path, Path]:
    """Create a database with this history and log, and a directory. Each applied migration has a row in `mark`."""
    path = folder / "app.db"
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(LOOSE)
        connection.execute(f"CREATE TABLE schema_migration_log (id INTEGER PRIMARY KEY, {LOG_COLUMNS})")
        connection.execute("CREATE TABLE mark (version)")
        for version, name, applied_at in history:
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?)", (version, name_of(version, name), applied_at)
            )
            connection.execute("INSERT INTO mark VALUES (?)", (version,))
        marks = ", ".join("?" * 9)
        connection.executemany(f"INSERT INTO schema_migration_log ({LOG_COLUMNS}) VALUES ({marks})", log)
    sources = {
        f"{n:03d}_{NAMES[n - 1]}": sql(f"INSERT INTO mark VALUES ({n})", down=[f"DELETE FROM mark WHERE version = {n}"])
        for n in files
    }
    return path, write(folder / "own", sources)


@settings(max_examples=80 * ROUNDS)
@given(HISTORY, LOG, FILES)
def test_a_run_ends_right_or_refuses_in_one_line(history: list[Any], log: list[Any], files: set[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, directory = made(Path(name), history, log, files)
        before = dump(path)
        with opened(path) as database:
            runner = MigrationRunner(database, directory, "schema_migrations", backup=False)
            problems = runner.status().problems
            refused = attempt(runner)
            if refused is not None:
                event(type(refused).__name__)
                assert "\n" not in str(refused)
                assert dump(path) == before
            else:
                assert problems == ()
                marks = [version for (version,) in rows(path, "SELECT version FROM mark ORDER BY version")]
                assert marks == sorted({*files, *marks}), "each ran once, and no gap is left"
                assert runner.status().pending_count == 0


def attempt(runner: MigrationRunner) -> UsageStoreError | None:
    try:
        runner.migrate()
    except UsageStoreError as error:
        return error
    return None


@settings(max_examples=60 * ROUNDS)
@given(HISTORY, LOG, FILES, st.sampled_from(COMMANDS), st.sampled_from(TABLES))
def test_every_command_ends_with_an_exit_code(
    history: list[Any], log: list[Any], files: set[int], action: str, table: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path, directory = made(Path(name), history, log, files)
        before = dump(path)
        done = called(*action.split(), "--database", path, "--directory", directory, *table, cwd=path.parent)
        event(f"{action}: {done.returncode}")
        assert done.returncode in range(9)
        lines = done.stderr.splitlines()
        assert all(line.startswith(("error: ", "notice: ")) for line in lines[:1])
        if action != "rollback --no-backup" or done.returncode:
            assert dump(path) == before
