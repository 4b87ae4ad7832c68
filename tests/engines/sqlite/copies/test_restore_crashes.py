"""A restore that is killed, or whose disk fails, leaves the old state or the new state."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.backups import NEW, database_and_backup, is_sound
from tests.support.databases import PAGE, dump, fill, raw, rows
from tests.support.disks import forked_with_small_files, make_huge
from tests.support.programs import (
    await_ready,
    finish,
    forked,
    killed_after,
    start,
)
from usage_store.engines.sqlite.copies.back_up import back_up, list_backups
from usage_store.engines.sqlite.copies.restore_backup import restore
from usage_store.errors import DatabaseUnreadable, NotEnoughDisk

if TYPE_CHECKING:
    from pathlib import Path


def _restore_and_die(file: Path, backup: Path, steps: int) -> None:
    taken: list[int] = []

    def tell(done: int, _: int) -> None:
        taken.append(done)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    restore(file, backup, on_progress=tell)


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("connected", [False, True])
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new_one(tmp_path: Path, mode: str, *, connected: bool) -> None:
    file, backup = database_and_backup(tmp_path, mode)
    old, new = dump(file), dump(backup)
    reader = start(READER, file, cwd=tmp_path) if connected else None
    if reader is not None:
        await_ready(reader)
    seen = []
    for steps in (1, 2, 3):
        assert forked(partial(_restore_and_die, file, backup, steps)) == -signal.SIGKILL
        assert is_sound(file)
        assert dump(file) in (old, new)
        seen.append(dump(file) == new)
    assert seen == [False, False, True]
    if reader is not None:
        assert finish(reader).out == f"{NEW}\n"


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM item").fetchall()
print("ready", flush=True)
input()
print(*connection.execute("SELECT count(*) FROM item").fetchone())
"""


def test_kills_at_random_moments_leave_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    other = back_up(file, 2)
    states = [dump(backup), dump(other)]
    chance = random.Random(7)
    for number in range(25):
        source = (backup, other)[number % 2]
        killed_after(chance.uniform(0, 0.06), partial(restore, file, source))
        assert is_sound(file)
        assert dump(file) in states
    for listed in list_backups(file):
        assert dump(listed.path) in states


def test_a_kill_while_a_missing_database_is_made_leaves_it_empty_or_whole(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    file.unlink()
    for steps in (1, 2):
        assert forked(partial(_restore_and_die, file, backup, steps)) == -signal.SIGKILL
        assert rows(file, "SELECT count(*) FROM sqlite_master") == [(0,)]
    restore(file, backup)
    assert dump(file) == dump(backup)


def test_a_disk_that_fails_half_way_leaves_the_old_state(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    with raw(file) as connection:
        connection.execute("DELETE FROM item WHERE id > 10")
        connection.execute("VACUUM")
    old = dump(file)

    def fail() -> None:
        with pytest.raises(DatabaseUnreadable, match="the disk"):
            restore(file, backup)

    assert forked_with_small_files(fail, 60 * PAGE) == 0
    assert dump(file) == old


def test_too_little_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file, backup = tmp_path / "huge.db", fill(tmp_path / "small.db", 5, page=65536)
    make_huge(file)

    def refuse() -> None:
        with pytest.raises(NotEnoughDisk, match="a restore needs"):
            restore(file, backup)

    assert forked_with_small_files(refuse) == 0
    assert rows(file, "SELECT count(*) FROM item") == [(1,)]
    assert list_backups(file) == ()
