"""Copies that were killed and go on, and copies of a store that others write to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.copy_store.conftest import ROWS, content, fill
from tests.support.databases import opened, rows, script
from tests.support.programs import run_python
from usage_store import close_database, init_database
from usage_store.copy_store import copy_rows, copy_store
from usage_store.copy_store.compare_stores import compared
from usage_store.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.copy_store.conftest import Target

KILLED = """
import itertools, os, signal, sys, threading
from usage_store.copy_store import copy_rows, copy_store
from usage_store.models.storage_interface import storage_called
copy_rows._ROWS = 50
source, target, engine, moment, number = sys.argv[1:]
written = storage_called(engine).copy_rows
put, parts, second_is_there = written.put_snapshots, itertools.count(), threading.Event()


def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(database, rows):
    seen = rows[0][0] - 1
    def dying():
        for done, row in enumerate(rows, seen):
            if done == int(number):
                die()
            yield row
    put(database, dying())

def first_after_second(database, rows):
    if rows[0][0] == 1:
        second_is_there.wait()
        die()
    put(database, rows)
    second_is_there.set()
    threading.Event().wait()

if moment == "rows":
    written.WRITERS, written.put_snapshots = 1, counted
elif moment == "first part":
    written.put_snapshots = first_after_second
elif moment == "compared":
    copy_rows.compared = lambda *_: die()
else:
    copy_rows._Copy._put_sessions = lambda _: die()
copy_store(source, target)
"""


MOMENTS = [("sessions", 0, 0), ("rows", 0, 0), ("rows", 49, 0), ("rows", 120, 100), ("compared", 0, ROWS)]


@pytest.mark.parametrize(
    ("engine", "moment", "number", "there"),
    [(engine, *moment) for engine in ("sqlite", "postgresql") for moment in MOMENTS]
    + [("postgresql", "first part", 0, 50)],  # the second is there
)
def test_a_copy_that_was_killed_goes_on(
    compacted: Path, places: Callable[[str], Target], engine: str, moment: str, number: int, there: int
) -> None:
    target = places(engine)
    done = run_python("-c", KILLED, compacted, target, engine, moment, str(number), cwd=compacted.parent)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows(target, "SELECT count(*) FROM usage_snapshots") == [(there,)]
    with opened(compacted) as one, opened(target) as other:
        resumed = copy_store(one, other, resume=True)
    assert (resumed.ok, resumed.copied) == (True, ROWS - there)
    assert content(target) == content(compacted)


@pytest.mark.parametrize(("one", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_what_others_write_during_a_copy_is_copied_too(
    places: Callable[[str], Target], one: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places(one), places(other)
    fill(source)
    monkeypatch.setattr(copy_rows, "_ROWS", 50)
    put = copy_rows._Copy._put_sessions
    written: list[int] = []

    def put_and_write(self: copy_rows._Copy) -> None:
        put(self)
        if not written:
            written.append(1)
            script(source, "INSERT INTO usage_sessions VALUES ('late', 77)")
            script(source, "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('one', '1'), ('late', '2')")

    monkeypatch.setattr(copy_rows._Copy, "_put_sessions", put_and_write)
    with opened(source) as first, opened(target) as second:
        done = copy_store(first, second)
    assert (done.ok, done.copied) == (True, ROWS + 2)
    assert content(target) == content(source)


def test_a_row_that_became_visible_late_is_named_and_brought_by_resume(
    places: Callable[[str], Target], tmp_path: Path
) -> None:
    source, target = places("postgresql"), tmp_path / "target.db"
    fill(source)
    script(source, "CREATE TABLE kept AS SELECT * FROM usage_snapshots WHERE id IN (5, 8)")
    script(source, "DELETE FROM usage_snapshots WHERE id IN (5, 8)")

    def appear(what: str, _done: int, _total: int) -> None:
        if what == "snapshots copied":
            script(source, "INSERT INTO usage_snapshots SELECT * FROM kept")

    with opened(source) as one, opened(target) as other:
        first = copy_store(one, other, on_progress=appear)
        assert first.differences == (
            "session one: 149 snapshots in the target, 150 in the source",
            "session two: 149 snapshots in the target, 150 in the source",
        )
        second = copy_store(one, other, resume=True)
        assert (second.ok, second.copied) == (True, 2)
    assert content(target) == content(source)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_row_that_goes_from_the_target_before_the_end_of_the_copy_is_missed(
    compacted: Path, places: Callable[[str], Target], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = places(engine)

    def delete_and_compare(*given: Any) -> Any:
        script(target, "DELETE FROM usage_snapshots WHERE id = 2")
        return compared(*given)

    monkeypatch.setattr(copy_rows, "compared", delete_and_compare)
    assert copy_store(compacted, target).differences == ("session two: 149 snapshots in the target, 150 in the source",)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_row_that_another_one_replaces_before_the_end_of_the_copy_is_missed(
    compacted: Path, places: Callable[[str], Target], engine: str, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = places(engine)

    def replace_and_compare(*given: Any) -> Any:
        changed = compacted if side == "source" else target
        script(changed, "DELETE FROM usage_snapshots WHERE id = 2")
        script(changed, "INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('two', '1')")
        return compared(*given)

    monkeypatch.setattr(copy_rows, "compared", replace_and_compare)
    assert copy_store(compacted, target).differences == (
        "session two: its snapshots or its time of registration differ",
    )


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_target_that_refuses_a_row_ends_the_copy_with_its_error(
    compacted: Path, places: Callable[[str], Target], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = places(engine)
    init_database(target)
    close_database()
    script(target, "CREATE UNIQUE INDEX one_a_second ON usage_snapshots (timestamp)")
    monkeypatch.setattr(copy_rows, "_ROWS", 50)
    with pytest.raises((DatabaseError, peewee.IntegrityError), match=r"one_a_second|usage_snapshots\.timestamp"):
        copy_store(compacted, target)
    assert rows(target, "SELECT count(*) FROM usage_snapshots") == [(0,)]
