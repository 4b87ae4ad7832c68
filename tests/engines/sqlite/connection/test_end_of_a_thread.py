"""A thread that ends without closing leaves no connection behind."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw
from tests.support.programs import forked
from usage_store import UsageSession, init_database, register_session
from usage_store.engines.sqlite.connection.pragmas_of_our_files import _CloseAtEndOfThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

pytestmark = [
    pytest.mark.quick,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc"),
]


@contextmanager
def without_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def handles(path: Path) -> int:
    """Count the handles of this process to a database and the files beside it."""
    names = [name for name in Path("/proc/self/fd").iterdir() if name.is_symlink()]
    return sum(str(name.readlink()).startswith(str(path)) for name in names)


def test_a_connection_is_closed_at_once_when_its_thread_ends(path: Path) -> None:
    init_database(path)
    with without_collections():
        for number in range(20):
            in_a_thread(lambda number=number: register_session(f"s{number}"))  # type: ignore[misc]
        assert handles(path) == 0
    assert UsageSession.select().count() == 20


def test_the_end_of_a_thread_rolls_back_what_it_left_open(path: Path) -> None:
    database = init_database(path, timeout=0)

    def leave_open() -> None:
        database.begin()
        register_session("s")

    with without_collections():
        in_a_thread(leave_open)
        assert handles(path) == 0
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM usage_sessions").fetchone() == (0,)


def test_a_child_does_not_close_the_connections_of_its_parents_threads(path: Path) -> None:
    init_database(path)
    ready, end = threading.Event(), threading.Event()

    def stay() -> None:
        register_session("before")
        ready.set()
        end.wait()
        register_session("after")

    thread = threading.Thread(target=stay)
    thread.start()
    ready.wait()
    before = handles(path)
    assert forked(lambda: None) == 0
    assert forked(gc.collect) == 0
    assert handles(path) == before
    end.set()
    thread.join()
    assert sorted(each.session_id for each in UsageSession.select()) == ["after", "before"]


def test_an_interrupt_while_a_thread_connects_is_the_only_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", others.append)
    database = init_database(path)

    def interrupt(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is _CloseAtEndOfThread.__init__.__code__:
            raise KeyboardInterrupt

    tracing = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            database.connect()
    finally:
        sys.settrace(tracing)
    gc.collect()
    assert others == []
