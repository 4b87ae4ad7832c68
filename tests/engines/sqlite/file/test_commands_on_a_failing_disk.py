"""If the disk fails or is full at any moment, a command prints one line; nothing is lost, and the next run works."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import PAGE, dump, fill
from tests.support.disks import forked_with_small_files
from tests.support.migrations import migrate_all, python, runner_of, sql, write
from tests.support.programs import ROUNDS
from usage_store.engines.sqlite.copies.back_up import back_up, list_backups
from usage_store.engines.sqlite.copies.restore_backup import restore
from usage_store.errors import UsageStoreError
from usage_store.migrate.rehearse import rehearse

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

REBUILD = """
import peewee
from playhouse.migrate import migrate
migrate(migrator.add_constraint('item', 'long', peewee.SQL('CHECK (length(body) > 5)')))
"""
UNBUILD = """
from playhouse.migrate import migrate
migrate(migrator.drop_constraint('item', 'long'))
"""
FILES = {
    "001_longer": sql("UPDATE item SET body = body || body", down=["UPDATE item SET body = substr(body, 1, 150)"]),
    "002_rebuild": python(REBUILD, UNBUILD),
    "003_more": sql("INSERT INTO item (body) SELECT body FROM item", down=["DELETE FROM item WHERE id > 500"]),
}
FAILED = 42


def migrate(path: Path) -> None:
    migrate_all(path, path.parent / "own", backup=False)


def roll_back(path: Path) -> None:
    with runner_of(path, path.parent / "own") as runner:
        if runner.current_version():
            runner.rollback(0)


def back_up_once(path: Path) -> None:
    back_up(path, 3)


def restore_it(path: Path) -> None:
    restore(path, path.parent / "kept.db")


def rehearse_it(path: Path) -> None:
    with runner_of(path, path.parent / "own") as runner:
        rehearsal = rehearse(runner, directory=path.parent)
    if not rehearsal.ok:
        raise UsageStoreError(str(rehearsal))


ACTIONS: dict[str, Callable[[Path], None]] = {
    "migrate": migrate,
    "rollback": roll_back,
    "backup": back_up_once,
    "restore": restore_it,
    "rehearse": rehearse_it,
}


def prepared(folder: Path, action: str) -> Path:
    """Make the database with which an action begins: about 50 pages in one file, without a -wal."""
    folder.mkdir()
    write(folder / "own", FILES)
    path = fill(folder / "app.db", 500)
    if action == "restore":
        shutil.copy(path, folder / "kept.db")
    if action in {"rollback", "restore"}:
        migrate(path)
    return path


@pytest.mark.parametrize("action", ACTIONS)
def test_a_disk_that_fails_at_any_size_leaves_a_whole_state(tmp_path: Path, action: str) -> None:
    run = ACTIONS[action]
    origin = prepared(tmp_path / "origin", action)
    states = between(tmp_path / "states", origin, action)

    def tried(path: Path) -> None:
        try:
            run(path)
        except UsageStoreError as error:
            os._exit(FAILED if "\n" not in str(error) else 1)

    codes = []
    for pages in range(1, 400, max(1, 16 // ROUNDS)):
        path = copied(origin, tmp_path / f"at_{pages}")
        codes.append(forked_with_small_files(lambda path=path: tried(path), pages * PAGE))  # type: ignore[misc]
        assert dump(path) in states
        assert all(dump(each.path) in states for each in list_backups(path))
        run(path)
        assert dump(path) == states[-1]
        shutil.rmtree(path.parent)
        if codes[-1] == 0:
            break
    assert codes == [FAILED] * (len(codes) - 1) + [0]
    assert len(codes) > 3


def copied(origin: Path, folder: Path) -> Path:
    shutil.copytree(origin.parent, folder)
    return folder / origin.name


def between(folder: Path, origin: Path, action: str) -> list[dict[str, list[object]]]:
    """Give the states that an action passes through when nothing fails."""
    states = [dump(origin)]
    path = copied(origin, folder)
    with runner_of(path, path.parent / "own", backup=False) as runner:
        if action == "migrate":
            runner.migrate(on_step=lambda _: states.append(dump(path)))
        elif action == "rollback":
            runner.rollback(0, on_step=lambda _: states.append(dump(path)))
    if action == "restore":
        states.append(dump(origin.parent / "kept.db"))
    return states


def test_on_a_full_disk_every_command_is_one_line_and_works_when_there_is_room(small_disk: Path) -> None:
    write(small_disk.parent / "own", FILES)
    path = fill(small_disk / "app.db", 500)
    before = dump(path)
    rest = Path(small_disk / "rest")
    rest.write_bytes(bytes(shutil.disk_usage(small_disk).free - 12 * PAGE))
    words = ("--database", path, "--directory", small_disk.parent / "own", "--table", "schema_migrations")
    codes = {}
    for action in ("migrate", "rehearse", "backup", "check", "plan", "validate", "status", "log"):
        done = command(*([] if action == "migrate" else [action]), *words, cwd=small_disk.parent)
        assert done.stderr.count("\n") <= 1, done.stderr
        assert dump(path) == before
        codes[action] = done.returncode
    looked = {"check": 1, "plan": 0, "validate": 0, "status": 0, "log": 0}
    assert codes == {"migrate": 8, "rehearse": 8, "backup": 8} | looked
    rest.unlink()
    done = command(*words, cwd=small_disk.parent)
    assert (done.returncode, done.stderr) == (0, "")
