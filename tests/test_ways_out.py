"""The three public ways to end: database.close(), close_database() and `with opened()` leave nothing behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.pool import PooledSqliteDatabase
from playhouse.postgres_ext import PooledPsycopg3Database

import usage_store as store
from tests.support.databases import names, own, raw, script
from tests.support.engines import empty_place
from tests.support.postgresql_servers import for_drivers
from tests.support.programs import TIMEOUT, forked
from tests.support.stores import make_store
from usage_store import UsageConfig, UsageSession, UsageSnapshot, close_database, errors, init_database, opened
from usage_store.models import MODELS
from usage_store.models.base import UsageModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

DESCRIPTORS = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="needs /proc")


def by_close(path: Target) -> Any:
    database = init_database(path, retention_days=30)
    store.register_session("s")
    database.close()
    return database


def by_close_database(path: Target) -> Any:
    database = init_database(path, retention_days=30)
    store.register_session("s")
    close_database()
    return database


def by_opened(path: Target) -> Any:
    with opened(path, retention_days=30) as database:
        store.register_session("s")
    return database


def by_opened_that_raises(path: Target) -> Any:
    with suppress(KeyboardInterrupt), opened(path, retention_days=30) as database, database.atomic():
        store.register_session("s")
        raise KeyboardInterrupt
    return database


def pool_of(path: Target) -> Any:
    if isinstance(path, str):
        return PooledPsycopg3Database(for_drivers(path), max_connections=3)
    return PooledSqliteDatabase(str(path), max_connections=3)


def by_a_pool(path: Target) -> Any:
    with opened(pool_of(path)) as database:
        store.register_session("s")
    return database


def in_memory() -> Any:
    with opened(":memory:") as database:
        store.register_session("s")
    return database


WAYS: dict[str, Callable[[Target], Any]] = {
    way.__name__: way for way in (by_close, by_close_database, by_opened, by_opened_that_raises, by_a_pool)
}


@pytest.fixture
def place(server: str, tmp_path: Path) -> Iterator[Callable[[str], Target]]:
    """Give a function that names empty places for databases."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(empty_place(server, tmp_path / f"{name}.db"))


@pytest.fixture
def path(place: Callable[[str], Target]) -> Target:
    """Name a migrated database."""
    path = place("usage")
    make_store(path)
    return path


@pytest.fixture
def other(place: Callable[[str], Target]) -> Target:
    """Name another database, which is empty."""
    return place("other")


def open_of(path: Target) -> list[str]:
    """The files of a database's folder, or the connections to a server, that this process has open."""
    found = []
    for descriptor in DESCRIPTORS.iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sorted(name for name in found if name.startswith("socket:" if isinstance(path, str) else str(path.parent)))


def is_empty(target: Target) -> bool:
    return names(target) == set() if isinstance(target, str) else not target.exists()


def bound() -> set[Any]:
    return {model._meta.database for model in MODELS} | {UsageSnapshot.upkeep}


@needs_proc
@pytest.mark.parametrize("name", WAYS)
def test_no_file_or_connection_stays_open_no_thread_and_nothing_else(path: Target, name: str) -> None:
    threads, connected = threading.active_count(), open_of(path)  # the tests themselves have a connection to a server
    database = WAYS[name](path)
    assert (open_of(path), threading.active_count()) == (connected, threads)
    if name != "by_close":
        assert bound() == {None}
    assert database.is_closed()


@needs_proc
@pytest.mark.parametrize("name", WAYS)
def test_many_rounds_leave_no_database_and_no_descriptor(path: Target, name: str) -> None:
    before = len(list(DESCRIPTORS.iterdir()))
    kept = [weakref.ref(WAYS[name](path)) for _ in range(20 if isinstance(path, str) else 200)]
    close_database()
    gc.collect()
    assert [each for each in kept if each() is not None] == []
    assert len(list(DESCRIPTORS.iterdir())) <= before


@needs_proc
def test_a_database_in_memory_leaves_nothing() -> None:
    threads, before = threading.active_count(), len(list(DESCRIPTORS.iterdir()))
    kept = [weakref.ref(in_memory()) for _ in range(20)]
    close_database()
    gc.collect()
    assert [each for each in kept if each() is not None] == []
    assert (bound(), threading.active_count()) == ({None}, threads)
    assert len(list(DESCRIPTORS.iterdir())) <= before


@needs_proc
@pytest.mark.parametrize("how", ["close_database", "opened"])
def test_connections_of_other_threads_that_are_at_rest_are_closed_too(path: Target, how: str) -> None:
    connected = open_of(path)
    with ThreadPoolExecutor(3) as pool:
        gate = threading.Barrier(3)

        def use() -> None:
            assert store.get_usage_config() is not None
            gate.wait(TIMEOUT)

        def all_use() -> None:
            futures = [pool.submit(use) for _ in range(3)]
            wait(futures, TIMEOUT)  # a late one would take a place at the gate of the next round
            for future in futures:
                future.result(0)

        if how == "opened":
            with opened(path):
                all_use()
        else:
            init_database(path)
            all_use()
            assert len(open_of(path)) > len(connected)
            close_database()
        assert open_of(path) == connected
        with pytest.raises(errors.ConfigurationError, match="call init_database"):
            all_use()
        init_database(path)
        all_use()  # threads of before work with a new database
        close_database()
        assert open_of(path) == connected


def test_a_transaction_of_another_thread_is_left_to_end(path: Target) -> None:
    database = init_database(path)
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with database.atomic():
            UsageSession.insert(session_id="other").execute()
            begun.set()
            assert go_on.wait(TIMEOUT)
            database.execute_sql("INSERT INTO usage_sessions (session_id) VALUES ('second')")
        database.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        assert begun.wait(TIMEOUT)
        close_database()
        go_on.set()
        done.result(TIMEOUT)
    with raw(path) as other:
        assert other.execute("SELECT session_id FROM usage_sessions ORDER BY 1").fetchall() == [("other",), ("second",)]


def test_inside_a_transaction_it_raises_and_changes_nothing(path: Target) -> None:
    database = init_database(path, retention_days=30)
    before = bound()
    with database.atomic():
        UsageSession.insert(session_id="s").execute()
        with pytest.raises(errors.TransactionOpen, match="commit or roll back first"):
            close_database()
        assert bound() == before
    assert UsageSession.get_by_id("s")
    close_database()


def test_without_a_database_it_does_nothing_and_afterwards_the_models_ask_for_one(path: Target) -> None:
    close_database()
    init_database(path)
    close_database()
    close_database()
    with pytest.raises(errors.ConfigurationError, match=r"call init_database\(\) first"):
        store.get_usage_config()


@pytest.mark.only_on("sqlite", "files")
def test_a_replaced_file_can_be_closed(path: Path) -> None:
    database = init_database(path)
    database.connect()
    path.unlink()
    database.connection().look_again = 0  # as a second later
    close_database()
    assert open_of(path) == []


def test_a_proxy_forgets_what_was_added_to_it_and_keeps_what_others_added(path: Target, other: Target) -> None:
    proxy = peewee.DatabaseProxy()
    told: list[object] = []
    proxy.attach_callback(told.append)
    init_database(proxy)
    init_database(proxy)
    proxy.initialize(own(path))
    assert len(proxy._callbacks) == 2
    with opened(proxy):
        assert len(proxy._callbacks) == 2
    assert (len(proxy._callbacks), {model._meta.database for model in MODELS}) == (2, {proxy})
    close_database()
    assert proxy._callbacks == [told.append]
    proxy.initialize(own(other))
    assert (len(told), is_empty(other)) == (2, True)


def test_a_proxy_without_a_database_is_let_go(tmp_path: Path) -> None:
    proxy = peewee.DatabaseProxy()
    init_database(proxy)
    close_database()
    assert (proxy._callbacks, bound()) == ([], {None})
    with pytest.raises(errors.ConfigurationError, match="not initialised"), opened(proxy):
        raise AssertionError
    assert (proxy._callbacks, bound()) == ([], {None})
    assert list(tmp_path.iterdir()) == []


def test_opened_blocks_nest_and_give_back_what_was_bound(path: Target, place: Callable[[str], Target]) -> None:
    outer = init_database(path, retention_days=30)
    before = bound()
    with opened(place("one"), max_bytes=2**30) as one:
        upkeep = UsageSnapshot.upkeep
        store.register_session("of one")
        with opened(place("two")) as two:
            assert (UsageConfig._meta.database, UsageSnapshot.upkeep) == (two, None)
            assert not two.is_closed()
            with opened(one):  # it is connected, and stays so
                assert [each.session_id for each in UsageSession.select()] == ["of one"]
            assert not one.is_closed()
        assert (UsageConfig._meta.database, UsageSnapshot.upkeep, two.is_closed()) == (one, upkeep, True)
    assert (bound(), one.is_closed()) == (before, True)
    assert UsageConfig._meta.database is outer


def test_a_block_beside_one_of_another_thread_is_refused_and_changes_nothing(path: Target, other: Target) -> None:
    def beside() -> str:
        with pytest.raises(errors.ConfigurationError) as refused, opened(other):
            raise AssertionError
        return str(refused.value)

    with ThreadPoolExecutor(1) as pool:
        with opened(path):
            before = bound()
            assert "another thread or asyncio task is in a block of opened()" in pool.submit(beside).result()
            assert (bound(), is_empty(other)) == (before, True)
            assert forked(lambda: new_block(other)) == 0  # the child has no other threads
            store.register_session("s")
            assert [each.session_id for each in UsageSession.select()] == ["s"]
        pool.submit(new_block, other).result()  # the block is over
    assert bound() == {None}


def test_a_block_beside_one_of_another_asyncio_task_is_refused(
    path: Target, other: Target, place: Callable[[str], Target]
) -> None:
    async def holds(began: asyncio.Event, go_on: asyncio.Event) -> None:
        with opened(path):
            store.register_session("s")
            began.set()
            await go_on.wait()
            await asyncio.create_task(asyncio.to_thread(new_block, place("inner")))
            assert [each.session_id for each in UsageSession.select()] == ["s"]

    async def main() -> None:
        began, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(holds(began, go_on))
        await began.wait()
        with pytest.raises(errors.ConfigurationError, match="asyncio task is in a block"):
            new_block(other)
        go_on.set()
        await task
        new_block(other)

    asyncio.run(main())
    assert (bound(), UsageModel.blocks) == ({None}, [])


def test_a_block_that_a_generator_holds_open_is_none_of_those_who_use_its_thread_later(
    path: Target, other: Target
) -> None:
    """A web framework enters a dependency in a thread of a pool, and leaves it in another thread."""
    first, second = opened(path), opened(other)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
        one.submit(contextvars.copy_context().run, first.__enter__).result()
        refused = one.submit(contextvars.copy_context().run, second.__enter__).exception()
        assert isinstance(refused, errors.ConfigurationError)
        another.submit(first.__exit__, None, None, None).result()
        for pool in (one, another):
            pool.submit(new_block, path).result()
    assert (bound(), UsageModel.blocks) == ({None}, [])


def test_blocks_that_end_in_another_order_than_they_began_leave_no_block(path: Target, other: Target) -> None:
    outer, inner = opened(path), opened(other)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    inner.__exit__(None, None, None)
    store.close_database()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(new_block, path).result()
    assert UsageModel.blocks == []


def new_block(path: Target) -> None:
    with opened(path):
        store.register_session("new")


def test_an_own_database_in_memory_that_was_open_stays() -> None:
    own = peewee.SqliteDatabase(":memory:")
    own.connect()
    with opened(own) as database:
        assert database is own
        store.register_session("s")
    assert own.execute_sql("SELECT session_id FROM usage_sessions").fetchall() == [("s",)]
    own.close()


def test_the_block_is_no_transaction(path: Target) -> None:
    with opened(path) as database:
        assert not database.in_transaction()
        store.register_session("s")
        with raw(path) as other:
            assert other.execute("SELECT count(*) FROM usage_sessions").fetchone() == (1,)


@pytest.mark.parametrize("way", [init_database, lambda target: opened(target).__enter__()], ids=["init", "opened"])
@pytest.mark.parametrize(
    "broken_by", ["DROP TABLE usage_config", "INSERT INTO schema_migrations VALUES (9, 'x', 0)"], ids=["gone", "newer"]
)
def test_what_fails_leaves_bound_what_was_bound_and_nothing_open(
    path: Target, other: Target, way: Callable[[Any], Any], broken_by: str
) -> None:
    init_database(path, retention_days=30)
    before, connected = bound(), open_of(path)
    make_store(other)
    script(other, broken_by)
    for target in (other, own(other), pool_of(other)):
        with pytest.raises(errors.UsageStoreError):
            way(target)
        getattr(target, "close_idle", lambda: None)()
        assert bound() == before
        assert open_of(path) == connected
    close_database()
