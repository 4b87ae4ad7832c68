"""Copies that were killed and go on, and copies of a store that others write to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.copy_store.conftest import ROWS, content, fill
from tests.support.databases import opened, rows, script
from tests.support.programs import run_python
from usage_store.copy_store import copy_rows, copy_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.copy_store.conftest import Target

KILLED = """
import os, signal, sys
from usage_store.copy_store import copy_rows, copy_store
copy_rows._ROWS = 50
source, target, moment, number = sys.argv[1:]


def die():
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "rows":
    part = copy_rows._Copy._part
    def counted(self, rows):
        for row in part(self, rows):
            if self._done == int(number):
                die()
            yield row
    copy_rows._Copy._part = counted
elif moment == "compared":
    copy_rows.compared = lambda *_: die()
else:
    copy_rows._Copy._put_sessions = lambda _: die()
copy_store(source, target)
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("moment", "number", "there"),
    [("sessions", 0, 0), ("rows", 0, 0), ("rows", 49, 0), ("rows", 120, 100), ("compared", 0, ROWS)],
)
def test_a_copy_that_was_killed_goes_on(
    compacted: Path, places: Callable[[str], Target], engine: str, moment: str, number: int, there: int
) -> None:
    target = places(engine)
    done = run_python("-c", KILLED, compacted, target, moment, str(number), cwd=compacted.parent)
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
