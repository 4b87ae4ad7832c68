"""A database that is made with `mode` has these permissions, and so have all files that are made beside it later."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import command
from tests.support.databases import script
from tests.support.driver import sqlite3
from tests.support.programs import forked
from usage_store import init_database, insert_usage_snapshot, maintain, register_session
from usage_store.engines.sqlite.connection.path_and_inode import make
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.errors import ConfigurationError, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")

SNAPSHOT = {"session_id": "s", "snapshot_data": {}}


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}


@contextmanager
def watched(folder: Path) -> Iterator[dict[str, int]]:
    """Note every file that appears in a folder during the block, with the widest permissions that it had."""
    seen: dict[str, int] = {}
    ended = threading.Event()

    def look() -> None:
        while True:
            last = ended.is_set()
            for entry in os.scandir(folder):
                try:
                    mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                except FileNotFoundError:
                    continue
                if entry.is_file():
                    seen[entry.name] = seen.get(entry.name, 0) | mode
            if last:
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(60)


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_file_that_is_made_now_has_the_mode_whatever_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    os.umask(umask)
    with init_database(tmp_path / "usage.db", mode=mode):
        register_session("s")
        assert modes(tmp_path) == dict.fromkeys(("usage.db", "usage.db-wal", "usage.db-shm"), mode)


def test_it_is_made_with_the_mode_and_not_narrowed_afterwards(tmp_path: Path) -> None:
    assert forked(lambda: _make_without_fchmod(tmp_path / "usage.db")) == 0
    assert modes(tmp_path) == {"usage.db": 0o600}


def _make_without_fchmod(path: Path) -> None:
    del os.fchmod
    make(str(path), 0o600)


def test_everything_beside_an_owner_only_database_is_owner_only(tmp_path: Path) -> None:
    with watched(tmp_path) as seen:
        database = init_database(tmp_path / "usage.db", mode=0o600)
        register_session("s")
        for _ in range(20):
            insert_usage_snapshot(SNAPSHOT)
        maintain(rewrite=True)
        database.close()
        for words in (["backup"], ["rollback", "1"], ["rehearse"], [], ["rollback", "0"]):
            assert command(*words, "--database", "usage.db", cwd=tmp_path).returncode == 0
        (backup, *_) = sorted(tmp_path.glob("usage.db.v3.*.backup"))
        assert command("restore", backup, "--database", "usage.db", cwd=tmp_path).returncode == 0
        assert command("stamp", "2", "--database", "usage.db", cwd=tmp_path).returncode == 0
        (tmp_path / "usage.db").write_bytes(b"no database" * 100)
        assert command("restore", backup, "--database", "usage.db", cwd=tmp_path).returncode == 0
    assert {name.rpartition(".")[2] for name in seen} >= {"db", "db-wal", "db-shm", "backup", "damaged"}
    assert {name: mode for name, mode in seen.items() if mode != 0o600} == {}


def test_the_migration_lock_file_has_the_databases_permissions(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    path.touch()
    for mode, umask in ((0o600, 0), (0o664, 0o077)):
        os.umask(umask)
        path.chmod(mode)
        with exclusive(str(path), 0, lambda _: None):
            assert modes(tmp_path)["usage.db-migrate"] == mode


@pytest.mark.parametrize("existing", [0o644, 0o666])
def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path, existing: int) -> None:
    script(tmp_path / "usage.db", "CREATE TABLE t (x)")
    (tmp_path / "usage.db").chmod(existing)
    with init_database(tmp_path / "usage.db", mode=0o600):
        register_session("s")
        assert set(modes(tmp_path).values()) == {existing}


def test_without_a_mode_it_is_made_as_sqlite_makes_it(tmp_path: Path) -> None:
    for umask in (0, 0o027):
        os.umask(umask)
        with closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
            theirs.execute("CREATE TABLE t (x)")
        init_database(tmp_path / "ours.db").close()
        found = modes(tmp_path)
        assert found["ours.db"] == found["theirs.db"]
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("mode", [600, 0o400, 0o200, 0o1600, -1, 0, "600", True, 0o600 / 1])
def test_a_mode_that_cannot_be_is_refused_before_anything_is_made(tmp_path: Path, mode: Any) -> None:
    with pytest.raises(InvalidValue, match=r"mode: .* is not allowed; allowed: an octal number from 0o600 to 0o777"):
        init_database(tmp_path / "usage.db", mode=mode)
    assert not list(tmp_path.iterdir())


def test_a_database_of_the_callers_own_takes_no_mode(usage_database: peewee.Database) -> None:
    with pytest.raises(ConfigurationError, match="mode is for a file that init_database"):
        init_database(usage_database, mode=0o600)


def test_a_link_to_a_file_that_is_still_to_be_made_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "usage.db")
    init_database(tmp_path / "link.db", mode=0o600).close()
    assert modes(tmp_path)["usage.db"] == 0o600


@pytest.mark.parametrize("words", [[], ["stamp", "1"], ["restore", "kept.backup"]], ids=["migrate", "stamp", "restore"])
@pytest.mark.parametrize(("mode", "found"), [(["--mode", "600"], 0o600), (["--mode", "0o660"], 0o660), ([], 0o644)])
def test_commands_that_make_a_database_take_a_mode(
    tmp_path: Path, words: list[str], mode: list[str], found: int
) -> None:
    init_database(tmp_path / "kept.backup").close()
    with watched(tmp_path) as seen:
        done = command(*words, "--database", "usage.db", *mode, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"created {tmp_path}/usage.db\n")
    assert {name: mode for name, mode in seen.items() if name.startswith("usage.db") and mode != found} == {}
    assert modes(tmp_path)["usage.db"] == found


@pytest.mark.parametrize("mode", ["", "six", "200", "1600", "888", "-1"])
def test_a_mode_that_cannot_be_is_a_usage_error_in_one_line(tmp_path: Path, mode: str) -> None:
    done = command(f"--mode={mode}", "--database", "usage.db", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (f"error: --mode: {mode!r} is not from 600 to 777, with reading and writing for the owner\n")
    assert not list(tmp_path.iterdir())
