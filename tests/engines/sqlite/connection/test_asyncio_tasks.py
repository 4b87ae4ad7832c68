"""Asyncio tasks of one thread share its connection: none becomes part of another one's transaction unawares."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import usage_store as store
from usage_store import UsageSession, UsageSnapshot, errors, init_database, opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def insert(number: int) -> None:
    assert store.insert_usage_snapshot({"session_id": "s", "snapshot_data": {"number": number}})


def numbers() -> list[int]:
    return sorted(snapshot.data["number"] for snapshot in UsageSnapshot.between())


def test_what_a_task_stores_is_not_rolled_back_with_the_transaction_of_another_task(path: Path) -> None:
    async def cancelled(began: asyncio.Event, go_on: asyncio.Event) -> None:
        with database.atomic() as transaction:
            insert(1)
            began.set()
            await go_on.wait()
            insert(2)  # the task that began the transaction goes on in it
            transaction.rollback()

    async def main() -> None:
        began, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(cancelled(began, go_on))
        await began.wait()
        for statement in (lambda: insert(3), lambda: store.register_session("t"), UsageSession.select().count):
            with pytest.raises(errors.TransactionOpen, match="another asyncio task of this thread is in a transaction"):
                statement()
        with pytest.raises(errors.TransactionOpen), database.atomic():
            raise AssertionError
        await asyncio.to_thread(numbers)  # another thread has a connection of its own
        go_on.set()
        await task
        insert(4)

    with opened(path) as database:
        store.register_session("s")
        asyncio.run(main())
        assert numbers() == [4]


def test_a_transaction_from_outside_of_all_tasks_is_for_each_of_them(path: Path) -> None:
    async def one(number: int) -> None:
        insert(number)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(3)))

    database = init_database(path)
    store.register_session("s")
    with database.atomic():
        asyncio.run(main())
    assert numbers() == [0, 1, 2]


def test_the_end_of_a_transaction_frees_the_connection_for_other_tasks(path: Path) -> None:
    async def one(number: int) -> None:
        with database.atomic():
            insert(number)
        await asyncio.sleep(0)
        database.begin()
        insert(number + 10)
        database.rollback()
        await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(5)))

    with opened(path) as database:
        store.register_session("s")
        asyncio.run(main())
        assert numbers() == list(range(5))


def test_a_transaction_that_outlives_its_task_can_be_ended_by_another_one(path: Path) -> None:
    async def begins() -> None:
        database.begin()
        insert(1)

    async def main() -> None:
        await asyncio.create_task(begins())
        insert(2)
        database.rollback()
        insert(3)

    with opened(path) as database:
        store.register_session("s")
        asyncio.run(main())
        assert numbers() == [3]
