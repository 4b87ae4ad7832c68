"""After a power loss, the -wal is incomplete or damaged; the database then opens in a state between two migrations.

The -wal is cut at every sector, its bits are flipped and its pages are filled with zeros. A disk may do this to writes
that were not synced (sqlite.org/atomiccommit.html). A migration's COMMIT is synced, so a cut within the last migration
is a crash before its COMMIT returned.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import dump, opened, raw, script
from tests.support.migrations import FAMILY, migrate_all, runner_of, write
from tests.support.programs import ROUNDS, forked
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage_store.migrate.files.migration import Direction

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

SECTOR = 512
PAGE = 4096


@pytest.fixture(scope="module", params=["up", "down"])
def crashed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    return Crashed(tmp_path_factory.mktemp("crashed"), request.param)


class Crashed:
    """A database whose writer died with everything still in the -wal, and the states before that."""

    def __init__(self, folder: Path, direction: Direction) -> None:
        self.folder = folder
        self.direction = direction
        self.directory = write(folder / "own", FAMILY)
        self.path = folder / "app.db"
        script(self.path, "PRAGMA journal_mode = WAL; CREATE TABLE host (a); INSERT INTO host VALUES (1)")
        if direction == "down":
            migrate_all(self.path, self.directory)
        self.states = [dump(self.path)]
        assert forked(self._run_and_die) == 0
        self.wal = Path(f"{self.path}-wal").read_bytes()
        assert len(self.wal) > 10 * PAGE
        self.states += [dump(folder / f"step{number}.db") for number in range(len(FAMILY))]

    def _run_and_die(self) -> None:
        with opened(self.path) as database:
            database.pragma("wal_autocheckpoint", 0)
            steps = iter(range(len(FAMILY)))

            def keep(_: object) -> None:
                copy = self.folder / f"step{next(steps)}.db"
                shutil.copy(self.path, copy)
                shutil.copy(f"{self.path}-wal", f"{copy}-wal")

            self._run(MigrationRunner(database, self.directory, "schema_migrations", backup=False), on_step=keep)
            os._exit(0)  # no checkpoint, no close: the -wal is all there is

    def _run(self, runner: MigrationRunner, **options: Any) -> None:
        if self.direction == "up":
            runner.migrate(**options)
        elif runner.current_version():
            runner.rollback(0, **options)

    def state_with(self, wal: bytes, path: Path) -> int:
        """Give the number of the state that the database has with this -wal; any other state is an error."""
        shutil.copy(self.folder / "app.db", path)
        Path(f"{path}-wal").write_bytes(wal)
        Path(f"{path}-shm").unlink(missing_ok=True)
        with raw(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return self.states.index(dump(path))

    def ends_right(self, path: Path) -> bool:
        """Run the migrations again after the crash."""
        with runner_of(path, self.directory, backup=False) as runner:
            self._run(runner)
        return dump(path) == self.states[-1]


def test_cut_at_any_sector_it_is_a_state_between_two_migrations(crashed: Crashed, tmp_path: Path) -> None:
    found: list[int] = []
    for length in [*range(0, len(crashed.wal), SECTOR), len(crashed.wal)]:
        path = tmp_path / "cut.db"
        state = crashed.state_with(crashed.wal[:length], path)
        if not found or state != found[-1]:
            assert crashed.ends_right(path)
        found.append(state)
    assert found == sorted(found), "a longer -wal is never an earlier state"
    assert set(found) == set(range(len(FAMILY) + 1)), "the cuts meet every state"
    assert found[-1] == len(FAMILY), "a COMMIT that returned is there"


def flip(wal: bytes, at: random.Random) -> bytes:
    position = at.randrange(len(wal))
    return wal[:position] + bytes([wal[position] ^ 1 << at.randrange(8)]) + wal[position + 1 :]


def zero(wal: bytes, at: random.Random) -> bytes:
    position = at.randrange(len(wal) // SECTOR) * SECTOR
    return wal[:position] + bytes(PAGE) + wal[position + PAGE :]


@pytest.mark.parametrize("damage", [flip, zero])
def test_garbled_anywhere_it_is_a_state_between_two_migrations(
    crashed: Crashed, tmp_path: Path, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    found = set()
    for seed in range(300 * ROUNDS):
        path = tmp_path / "garbled.db"
        state = crashed.state_with(damage(crashed.wal, random.Random(seed)), path)
        if state not in found:
            assert crashed.ends_right(path), f"seed {seed}"
        found.add(state)
    assert len(found) > 2, "the damage falls into several migrations"
