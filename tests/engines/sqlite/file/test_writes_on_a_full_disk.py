"""A write on a full disk raises an error that says so, is stored completely or not at all, and works later."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import besides_the_file, called
from tests.support.databases import PAGE, raw, rows
from tests.support.disks import forked_with_small_files, growing
from tests.support.migrations import sql, write
from usage_store import (
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    link_events,
    register_session,
    register_sessions,
)
from usage_store.engines import unwrap
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.testing import dump_usage, load_usage, seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = "CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT)"
EVENT = "INSERT INTO events (session_id) VALUES (printf('%0200d', ?))"
FAILED = 42


def bulk(_: peewee.Database | peewee.DatabaseProxy) -> None:
    snapshots = ({"session_id": "s", "snapshot_data": {"x": "y" * 3000}} for _ in range(60))
    assert insert_usage_snapshots(snapshots) == 60


def bulk_within(database: peewee.Database | peewee.DatabaseProxy) -> None:
    with write_transaction(database):
        bulk(database)


def load(database: peewee.Database | peewee.DatabaseProxy) -> None:
    load_usage(database, Path(str(unwrap(database).database)).parent.parent / "fixture.json")


ACTIONS: dict[str, Callable[[peewee.Database | peewee.DatabaseProxy], object]] = {
    "bulk insert": bulk,
    "bulk insert in a transaction": bulk_within,
    "one insert": lambda _: insert_usage_snapshot({"session_id": "s", "snapshot_data": ["x" * 900_000]}),
    "sessions": lambda _: register_sessions(f"{number:0200}" for number in range(400)),
    "seed": lambda database: seed_usage(database, snapshots=20),
    "load": load,
    "link_events": lambda _: link_events(),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database with one session and 300 events that are not followed yet, and a fixture."""
    folder = tmp_path_factory.mktemp("made")
    with closing(init_database(folder / "seeded.db")) as database:
        seed_usage(database, snapshots=20)
        dump_usage(database, folder / "fixture.json")
    path = folder / "origin.db"
    with closing(init_database(path, follow_events=False)):
        register_session("s")
    with raw(path) as connection:
        connection.execute(EVENTS)
        connection.executemany(EVENT, [(number,) for number in range(300)])
    return folder


@pytest.fixture
def origin(made: Path, tmp_path: Path) -> Path:
    """Give the path of such a database; its fixture file is beside its folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "origin.db"


def held(path: Path) -> tuple[int, ...]:
    """Count the rows, after a check that the file has no damage."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    tables = ("usage_sessions", "usage_snapshots", "sqlite_master")
    return tuple(rows(path, f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def after(origin: Path, folder: Path, action: str) -> tuple[int, ...]:
    folder.mkdir()
    path = Path(shutil.copy(origin, folder))
    run(path, action)
    return held(path)


def run(path: Path, action: str) -> None:
    with closing(init_database(path, follow_events=False)) as database:
        ACTIONS[action](database)


def tried(path: Path, action: str) -> bool:
    """Run an action and tell whether it succeeded. Any error must be the error of a full disk."""
    with closing(init_database(path, follow_events=False)) as database:
        try:
            ACTIONS[action](database)
        except peewee.OperationalError as error:
            assert str(vars(error)["orig"]) in {"disk I/O error", "database or disk is full"}  # noqa: PT017
            assert not database.in_transaction()
            return False
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_that_cannot_grow_is_told_as_such_at_every_size(origin: Path, tmp_path: Path, action: str) -> None:
    states = (held(origin), after(origin, tmp_path / "after", action))
    (tmp_path / "small").mkdir()
    path, codes = tmp_path / "small" / "usage.db", []
    for pages in growing(9, 5):
        shutil.copy(origin, path)
        codes.append(forked_with_small_files(lambda: None if tried(path, action) else os._exit(FAILED), pages * PAGE))
        assert held(path) == states[codes[-1] == 0], pages
        if codes[-1] == 0:
            break
    assert codes == [FAILED] * (len(codes) - 1) + [0]
    assert len(codes) > 2


@pytest.mark.parametrize("action", ACTIONS)
def test_a_full_disk_is_told_as_such_at_every_size(origin: Path, small_disk: Path, action: str) -> None:
    states = (held(origin), after(origin, small_disk.parent / "after", action))
    path, rest, told = small_disk / "usage.db", small_disk / "rest", []
    for pages in growing(0, 3):
        shutil.copy(origin, path)
        with closing(init_database(path, follow_events=False)) as used:
            unwrap(used).connect()  # the -wal and its index are there
            room = shutil.disk_usage(small_disk).free - pages * PAGE
            rest.write_bytes(bytes(room))
            told.append(tried(path, action))
            rest.unlink()
        assert held(path) == states[told[-1]], pages
        if told[-1]:
            break
        run(path, action)
        assert held(path) == states[True], "with room, the next try works"
        path.unlink()
    assert told == [False] * (len(told) - 1) + [True]
    assert len(told) > 2


FILES = {
    "001_one": sql("CREATE TABLE one (a)", "INSERT INTO one VALUES (zeroblob(20000))"),
    "002_two": sql("CREATE TABLE two (a)", "INSERT INTO two VALUES (zeroblob(20000))"),
}


def test_a_migration_that_meets_a_full_disk_exits_with_8_and_the_next_run_goes_on(small_disk: Path) -> None:
    write(small_disk.parent / "own", FILES)
    path, rest = small_disk / "app.db", small_disk / "rest"
    words = ("--database", path, "--directory", small_disk.parent / "own")
    codes = []
    for pages in range(1, 100, 3):
        rest.write_bytes(bytes(shutil.disk_usage(small_disk).free - pages * PAGE))
        done = called(*words, cwd=small_disk.parent)
        rest.unlink()
        codes.append(done.returncode)
        if done.returncode == 0:
            break
        assert besides_the_file(done).startswith("error: ")
        assert besides_the_file(done).count("\n") == 1
        assert "full" in done.stderr or "disk I/O error" in done.stderr, done.stderr
        assert "cannot rollback" not in done.stderr
        assert called(*words, cwd=small_disk.parent).returncode == 0
        for file in small_disk.iterdir():
            file.unlink()
    assert codes == [8] * (len(codes) - 1) + [0]
    assert len(codes) > 4
