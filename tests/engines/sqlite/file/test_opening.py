"""An opened database is closed until it is used, is set up on each connection, and is named in messages."""

from __future__ import annotations

import gc
import json
import logging
import os
import weakref
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.commands import besides_the_file, called
from tests.support.databases import rows
from usage_store import init_database, insert_usage_snapshot, maintain, register_session
from usage_store.cli.main import main
from usage_store.engines.sqlite.connection.notice_replaced_file import OPEN, FileConnection
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_comes_back_closed_and_is_connected_when_it_is_used(tmp_path: Path) -> None:
    database = init_database(tmp_path / "usage.db")
    assert database.is_closed()
    assert register_session("s")
    assert not database.is_closed()
    database.close()


def test_a_web_framework_may_connect_before_each_request_and_close_after_it(tmp_path: Path) -> None:
    database = init_database(tmp_path / "usage.db")
    for _ in range(2):
        assert database.connect()
        assert register_session("s")
        assert database.close()
    with database:
        assert register_session("t")
    assert database.is_closed()


def test_one_in_memory_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = init_database(":memory:")
    assert not database.is_closed()
    assert register_session("s")
    database.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_databases_that_nobody_closed_are_freed_with_their_connections(tmp_path: Path) -> None:
    gc.collect()
    before = len(OPEN)
    freed = []
    for number in range(5):
        database = init_database(tmp_path / f"{number}.db", retention_days=1)
        assert register_session("s")
        assert insert_usage_snapshot({"session_id": "s", "snapshot_data": {}})
        maintain()
        assert len(list(database.execute_sql("SELECT usage_json(snapshot_data) FROM usage_snapshots"))) == 1
        freed.append(weakref.ref(database))
    del database
    with closing(init_database(":memory:")):
        gc.collect()
        assert [reference() for reference in freed] == [None] * 5
        assert len(OPEN) == before


@pytest.mark.parametrize("vfs", ["unix-none", "unix-dotfile"])
def test_a_disk_that_refuses_a_write_ahead_log_is_told_once_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, vfs: str
) -> None:
    (tmp_path / "usage.db").touch()
    database = SqliteFile(str(tmp_path / "usage.db"), access=f"rw&vfs={vfs}")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with closing(database):
                database.connect()
                assert database.pragma("journal_mode") == "delete"
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}/usage.db: has no write-ahead log here but journal mode delete, so readers")
    assert "\n" not in line


def test_where_a_write_ahead_log_is_had_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for target in (tmp_path / "usage.db", ":memory:"):
        init_database(target).close()
    assert not caplog.messages


@pytest.mark.skipif(os.name != "posix", reason="elsewhere two slashes begin the name of a host")
def test_every_command_takes_a_path_that_begins_with_two_slashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"/{tmp_path}/usage.db"
    assert path.startswith("//")
    words = [
        ["migrate"],
        ["status"],
        ["check"],
        ["validate"],
        ["plan"],
        ["rehearse"],
        ["log"],
        ["backup"],
        ["stamp", "2"],
    ]
    for given in (path, f"sqlite:///{path}"):
        for command_ in words:
            named = command_ if command_ != ["migrate"] else []
            done = called(*named, "--database", given, cwd=tmp_path)
            assert (done.returncode, besides_the_file(done)) == (0, ""), command_
    monkeypatch.setenv("USAGE_STORE_DATABASE", path)
    (backup, *_) = tmp_path.glob("usage.db.*.backup")
    done = called("restore", backup, cwd=tmp_path, USAGE_STORE_DATABASE=path)
    assert (done.returncode, done.stderr) == (0, "")
    for options in ([], ["--dry-run"]):
        assert main(["maintain", "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["pruned"] == 0
    assert main(["convert"]) == 0
    assert register_and_close(path)
    assert rows(tmp_path / "usage.db", "SELECT session_id FROM usage_sessions") == [("s",)]


def register_and_close(path: str) -> Any:
    with closing(init_database(path)):
        return register_session("s")


def test_a_connection_says_which_file_it_is_of(tmp_path: Path) -> None:
    with closing(SqliteFile(str(tmp_path / "usage.db"))) as database:
        (tmp_path / "usage.db").touch()
        connection = database.connection()
        assert isinstance(connection, FileConnection)
        assert connection.path == str(tmp_path / "usage.db")
