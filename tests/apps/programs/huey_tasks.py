"""Tasks of Huey that store; the queue is a SQLite file of its own."""

from __future__ import annotations

from huey import SqliteHuey

from usage_store import init_database, insert_usage_snapshot, register_session

huey = SqliteHuey(filename="queue.db")
init_database()
register_session("ab74d3b7")


@huey.task()
def store(number: int) -> int:
    stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
    assert stored is not None
    return number


def ask() -> None:
    """Give the consumer a hundred tasks, and wait for what they give."""
    results = [store(number) for number in range(100)]
    print(sum(result.get(blocking=True, timeout=60) for result in results))
