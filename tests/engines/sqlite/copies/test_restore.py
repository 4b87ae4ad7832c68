"""A restore replaces a database in use in one transaction, and loses neither the old state nor a commit."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.backups import NEW, OLD, database_and_backup, is_sound
from tests.support.databases import PAGE, add, dump, files_of, fill, overwrite, raw, rows, script
from tests.support.driver import sqlite3
from tests.support.programs import (
    TIMEOUT,
    environment,
    running,
    until,
)
from usage_store.engines.sqlite.copies.back_up import list_backups
from usage_store.engines.sqlite.copies.restore_backup import restore
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.errors import ConfigurationError, CorruptDatabase, DatabaseLocked, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable


def _count(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM item").fetchone()
    assert isinstance(count, int)
    return count


@pytest.mark.quick
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_restore_brings_the_backup_back_and_keeps_what_was_there(tmp_path: Path, mode: str) -> None:
    file, backup = database_and_backup(tmp_path, mode)
    old, new = dump(file), dump(backup)
    kept = restore(file, backup, version=7)
    assert kept is not None
    assert dump(file) == new
    assert dump(kept) == old
    assert [listed.version for listed in list_backups(file)] == [1, 7]
    restore(file, kept)
    assert dump(file) == old


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_connected_reader_sees_the_restored_state(tmp_path: Path, mode: str) -> None:
    file, backup = database_and_backup(tmp_path, mode)
    with raw(file) as reader:
        assert _count(reader) == OLD
        restore(file, backup, wait=TIMEOUT)
        assert _count(reader) == NEW
        assert reader.execute("SELECT count(*) FROM only_in_backup").fetchone() == (0,)
        add(reader, 1)
    assert rows(file, "SELECT count(*) FROM item") == [(NEW + 1,)]
    assert is_sound(file)


def test_a_reader_inside_a_transaction_keeps_the_old_state_to_its_end(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    with raw(file) as reader:
        reader.execute("BEGIN")
        assert _count(reader) == OLD
        restore(file, backup, wait=TIMEOUT)
        assert _count(reader) == OLD
        assert reader.execute("SELECT sum(length(body)) FROM item").fetchone() == (OLD * 150,)
        reader.execute("COMMIT")
        assert _count(reader) == NEW


def test_a_transaction_that_began_before_a_restore_cannot_write_after_it(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    with raw(file) as reader:
        reader.execute("BEGIN")
        assert _count(reader) == OLD
        restore(file, backup, wait=TIMEOUT)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            add(reader, 1)
    assert rows(file, "SELECT count(*) FROM item") == [(NEW,)]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_writer_that_holds_the_lock_is_waited_for_and_then_refused(tmp_path: Path, mode: str) -> None:
    file, backup = database_and_backup(tmp_path, mode)
    said: list[str] = []
    with raw(file) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM item WHERE id = 1")
        with pytest.raises(DatabaseLocked):
            restore(file, backup, wait=0.2, on_wait=said.append)
        writer.execute("COMMIT")
    if mode == "wal":  # the other journal mode cannot be switched to WAL while it is in use
        assert said == ["another process is writing to this database; waiting up to 0.2 s"]
    assert rows(file, "SELECT count(*) FROM item") == [(OLD - 1,)]
    assert list_backups(file) == list_backups(file)[:1]


@pytest.mark.quick
def test_a_restore_goes_on_when_the_writer_is_done_and_keeps_what_it_wrote(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    writer = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    add(writer, 5)
    timer = threading.Timer(0.3, lambda: writer.execute("COMMIT"))
    timer.start()
    kept = restore(file, backup, wait=TIMEOUT)
    timer.join(TIMEOUT)
    writer.close()
    assert kept is not None
    assert rows(kept, "SELECT count(*) FROM item") == [(OLD + 5,)]
    assert rows(file, "SELECT count(*) FROM item") == [(NEW,)]


def test_a_reader_inside_a_transaction_of_a_rollback_journal_database_is_refused(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path, "delete")
    with raw(file) as reader:
        reader.execute("BEGIN")
        assert _count(reader) == OLD
        with pytest.raises(DatabaseLocked):
            restore(file, backup, wait=0.2)
        reader.execute("COMMIT")
        assert _count(reader) == OLD


def test_nobody_writes_between_the_copy_of_the_old_state_and_the_new_state(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    refused: list[int] = []
    with sqlite3.connect(file, isolation_level=None, timeout=0) as other:

        def write(done: int, pages: int) -> None:
            if done == pages:
                return  # committed
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                add(other, 1)
            refused.append(_count(other))

        restore(file, backup, on_progress=write)
    other.close()
    assert refused == [OLD] * len(refused)
    assert refused


COUNT_UP = """
import itertools, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=300)
print("ready", flush=True)
for number in itertools.count():
    connection.execute("INSERT INTO item (body) VALUES (?)", (f"committed {number}",))
    print(number, flush=True)
"""


def test_every_commit_of_a_busy_writer_is_in_a_kept_database_or_in_the_restored_one(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)

    def lines() -> list[str]:
        return (tmp_path / "acknowledged").read_text().split("\n")[1:-1]

    with (tmp_path / "acknowledged").open("wb") as acknowledged:
        words = [sys.executable, "-c", COUNT_UP, str(file)]
        writer = subprocess.Popen(words, env=environment(), stdout=acknowledged)
        with running(writer):
            kept = []
            for seen in range(10, 90, 10):
                until(lambda seen=seen: len(lines()) > seen, writer)  # type: ignore[misc]
                kept.append(restore(file, backup, wait=TIMEOUT))
            until(lambda: len(lines()) > 90, writer)
    found = {
        body
        for path in [file, *filter(None, kept)]
        for (body,) in rows(path, "SELECT body FROM item WHERE body LIKE 'committed%'")
    }
    assert {f"committed {line}" for line in lines()} <= found
    assert is_sound(file)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "noise": lambda file: overwrite(file, 0, os.urandom(40 * PAGE)),
    "a cut": lambda file: os.truncate(file, 100 * PAGE),
    "a short cut": lambda file: os.truncate(file, 1000),
    "a broken schema page": lambda file: overwrite(file, 100, b"\xff" * (PAGE - 100)),
    "broken pages": lambda file: overwrite(file, 40 * PAGE, b"\xff" * 100 * PAGE),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_database_is_replaced_and_kept_under_a_name_that_says_so(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    file, backup = database_and_backup(tmp_path)
    damage(file)
    kept = restore(file, backup, version=7)
    assert kept is not None
    assert kept.name.startswith("app.db.v7.")
    assert kept.suffix == ".damaged"
    assert dump(file) == dump(backup)
    assert is_sound(file)
    assert [listed.path for listed in list_backups(file)] == [backup]


def test_the_wal_of_a_damaged_database_is_kept_with_it_and_not_played_into_the_restored_one(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    with raw(file) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE item SET body = 'from the wal' WHERE id = 1000")
        wal = Path(f"{file}-wal").read_bytes()
    overwrite(file, 0, b"noise" * 20)
    Path(f"{file}-wal").write_bytes(wal)
    kept = restore(file, backup)
    assert kept is not None
    assert kept.suffix == ".damaged"
    # The last connection that closes a database moves its -wal into it, damaged or not.
    assert b"from the wal" in kept.read_bytes()
    assert dump(file) == dump(backup)


def test_a_missing_database_is_made_with_the_permissions_of_the_backup(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    backup.chmod(0o640)
    file.unlink()
    assert restore(file, backup) is None
    assert dump(file) == dump(backup)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("missing", DatabaseUnreadable, "no such backup"),
        ("noise", DatabaseUnreadable, "not a database"),
        ("empty", DatabaseUnreadable, "without tables"),
        ("no tables", DatabaseUnreadable, "without tables"),
        ("a cut", DatabaseUnreadable, "corrupt"),
        ("broken pages", CorruptDatabase, "so nothing was restored; choose another backup"),
        ("app.db", ConfigurationError, "this is the database itself"),
        (":memory:", ConfigurationError, "in memory"),
    ],
)
def test_what_is_no_sound_backup_is_refused_and_nothing_changes(
    tmp_path: Path, name: str, error: type[Exception], says: str
) -> None:
    file, backup = database_and_backup(tmp_path)
    (tmp_path / "empty").touch()
    script(tmp_path / "no tables", "PRAGMA user_version = 1")
    for damage in ("noise", "a cut", "broken pages"):
        (tmp_path / damage).write_bytes(backup.read_bytes())
        DAMAGES[damage](tmp_path / damage)
    before = files_of(tmp_path)
    with pytest.raises(error, match=says):
        restore(file, Path(name) if name == ":memory:" else tmp_path / name)
    assert files_of(tmp_path) == before


def test_a_database_in_memory_cannot_be_restored(tmp_path: Path) -> None:
    _, backup = database_and_backup(tmp_path)
    with pytest.raises(ConfigurationError, match="in memory"):
        restore(Path(":memory:"), backup)


def test_a_backup_with_pages_of_another_size_is_refused_until_the_database_is_moved_away(tmp_path: Path) -> None:
    file, _ = database_and_backup(tmp_path)
    other = fill(tmp_path / "other.db", 10, page=8192)
    old = dump(file)
    with pytest.raises(ConfigurationError, match=r"8192 bytes, the database's is 4096.+ move it"):
        restore(file, other)
    assert dump(file) == old
    file.rename(tmp_path / "away")
    restore(file, other)
    assert dump(file) == dump(other)


def test_a_restore_waits_for_a_migration_and_then_gives_up(tmp_path: Path) -> None:
    file, backup = database_and_backup(tmp_path)
    with exclusive(str(file), 1, print), pytest.raises(DatabaseLocked, match="migrating"):
        restore(file, backup, wait=0.1)
    assert rows(file, "SELECT count(*) FROM item") == [(OLD,)]
