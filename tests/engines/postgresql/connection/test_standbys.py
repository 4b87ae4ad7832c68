"""A standby, which follows another server: all that reads works there, and all that writes is one clear line."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.commands import called
from tests.support.migrations import sql, write
from tests.support.postgresql_servers import own_server
from usage_store import (
    get_session_sizes,
    get_usage_config,
    get_usage_snapshots,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    register_session,
    remove_sessions,
    update_usage_config,
    validate_database,
)
from usage_store.copy_store import copy_store
from usage_store.database import close_database
from usage_store.engines import engine_of, open_database
from usage_store.errors import ReadOnlyDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.long
ROW = {"session_id": "s", "snapshot_data": {"n": 1}}
NO_WRITES = "the server accepts no writes here: it is a standby, or the session is read-only"
WRITES: dict[str, Callable[[], object]] = {
    "register_session": lambda: register_session("t"),
    "insert": lambda: insert_usage_snapshot(ROW),
    "insert many": lambda: insert_usage_snapshots([ROW]),
    "configure": lambda: update_usage_config({"plan": "pro"}),
    "maintain": maintain,
    "remove": lambda: remove_sessions(["s"]),
}
OPENED: dict[str, Callable[[str], object]] = {
    "ours": str,
    "psycopg": lambda url: peewee.PostgresqlDatabase(url, prefer_psycopg3=True),
    "psycopg2": peewee.PostgresqlDatabase,
}


@pytest.fixture(scope="module")
def standby() -> Iterator[str]:
    """Give the URL of a standby of a server with a store."""
    with own_server(18) as primary:
        init_database(primary.url)
        register_session("s")
        insert_usage_snapshot(ROW)
        close_database()
        with own_server(18, standby_of=primary.url.partition("host=")[2]) as kept:
            yield kept.url


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_database()


@pytest.mark.parametrize("kind", OPENED)
def test_the_store_is_read_and_not_written(standby: str, kind: str) -> None:
    init_database(OPENED[kind](standby))  # type: ignore[call-overload]  # either of its kinds
    assert [each.data for each in get_usage_snapshots()] == [{"n": 1}]
    assert [each.snapshots for each in get_session_sizes()] == [1]
    assert get_usage_config() is not None
    assert validate_database()
    for name, call in WRITES.items():
        with pytest.raises(ReadOnlyDatabase, match=NO_WRITES) as caught:
            call()
        assert (caught.value.exit_code, "\n" in str(caught.value)) == (8, False), name
        assert str(caught.value).startswith("postgresql://postgres@/postgres?host="), name


def test_commands_that_read_work_and_those_that_write_say_why_not(standby: str, tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_t": sql("CREATE TABLE t (id integer)")})

    def code(*words: str, own: bool = False) -> int:
        named = ("--directory", "own", "--table", "m") if own else ()
        done = called(*words, "--database", standby, *named, cwd=tmp_path)
        if done.returncode == 8:
            assert done.stderr.endswith(f": {NO_WRITES}\n"), done
            assert done.stderr.startswith("error: postgresql://"), done
        return done.returncode

    for words in ("status", "check", "validate", "log", ""):
        assert code(*words.split()) == 0, words
    assert code("check", own=True) == 1
    for words in ("", "plan", "rehearse", "stamp 1"):
        assert code(*words.split(), own=True) == 8, words
    assert code("rollback") == code("validate", "--replay") == 8


def test_a_store_is_copied_from_there_and_not_to_there(standby: str, tmp_path: Path) -> None:
    assert copy_store(standby, tmp_path / "app.db").snapshots == 1
    with pytest.raises(ReadOnlyDatabase, match=NO_WRITES):
        copy_store(tmp_path / "app.db", f"{standby}&schema=public", resume=True)


def test_models_are_not_compared_there_because_temporary_tables_are_writes(standby: str) -> None:
    class Item(peewee.Model):
        pass

    database = open_database(standby, readonly=True)
    with closing(database), pytest.raises(ReadOnlyDatabase, match=NO_WRITES):
        engine_of(database).from_models.model_changes(database, [Item], {})
