"""A thread that goes on after the test that started it does not open the application's own file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.programs import TIMEOUT
from tests.support.snapshots import new_store
from usage_store.testing.application import Application
from usage_store.testing.point_application import pointed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.quick


class Worker:
    """A thread that calls what it is asked for."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.answers: list[Any] = []
        self._asked, self._answered = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self._work, args=calls, name="left behind", daemon=True)
        self.thread.start()

    def _work(self, *calls: Callable[[], object]) -> None:
        for call in calls:
            self._asked.acquire(timeout=TIMEOUT)
            try:
                self.answers.append(call())
            except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
                self.answers.append(error)
            self._answered.release()

    def answer(self) -> Any:
        self._asked.release()
        self._answered.acquire(timeout=TIMEOUT)
        return self.answers[-1]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(new_store(tmp_path / "test.db"))


@pytest.mark.parametrize("kind", ["a database", "a proxy"])
def test_it_is_refused_in_one_sentence_and_can_use_the_next_test_s_file(tmp_path: Path, store: str, kind: str) -> None:
    own = peewee.SqliteDatabase(str(tmp_path / "production.db"))
    proxy = peewee.DatabaseProxy()
    proxy.initialize(own)
    named = own if kind == "a database" else proxy

    def tables() -> list[str]:
        with named.connection_context():
            return sorted(named.get_tables())

    before = dict(vars(own))
    with pointed(Application(named), store):
        worker = Worker(*[tables] * 4)
        assert "usage_sessions" in worker.answer()
    assert str(worker.answer()) == (
        f"{tmp_path}/production.db: not opened, because this thread (left behind) was started in a test that has "
        "ended; wait for the thread in the test"
    )
    with pointed(Application(named), store):
        assert "usage_sessions" in worker.answer()
    assert not (tmp_path / "production.db").exists()
    assert tables() == []  # other threads may
    own.init(str(tmp_path / "another.db"))
    assert worker.answer() == []
    worker.thread.join()
    own.init(before["database"])
    with pointed(Application(named), store):
        pass
    assert vars(own).keys() == before.keys()


def test_a_thread_from_before_the_test_may_open_the_application_s_file(tmp_path: Path, store: str) -> None:
    own = peewee.SqliteDatabase(str(tmp_path / "production.db"))
    worker = Worker(lambda: (own.get_tables(), own.close()))
    with pointed(Application(own), store):
        pass
    assert worker.answer() == ([], True)
    worker.thread.join()
