"""Compaction fills the blocks, also if a transaction may write only few rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.databases import raw
from tests.support.snapshots import blocks, record
from usage_store import UsageSnapshot
from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file.short_transactions import Turns
from usage_store.models.sqlite.maintenance.compact_snapshots import compact

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

ALL_TIME = 10**10


class Steady(Pace):
    """A pace with a fixed number of rows in each transaction, however fast the machine is."""

    def __init__(self, size: int) -> None:
        super().__init__(Turns())
        self._steady = size

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return self._steady

    @size.setter
    def size(self, _: int) -> None:
        pass


def text(number: int, size: int) -> str:
    return json.dumps({"n": number, "filler": "x" * size})


def test_blocks_are_full_although_a_transaction_writes_few_rows_of_each_session(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    for number in range(80):
        record(text(number, 4000), session="ab"[number % 2])
    assert list(compact(usage_database, ALL_TIME, Steady(10))) == [10] * 8
    assert sorted(len(block.rows) for block in blocks(path).values()) == [10] * 8  # ten texts are 40 kB
    assert [json.loads(snapshot.snapshot_data)["n"] for snapshot in UsageSnapshot.select()] == list(range(80))


def test_rows_are_compacted_later_if_their_block_was_deleted_with_other_rows(
    usage_database: peewee.SqliteDatabase, path: Path
) -> None:
    record(*(text(number, 10) for number in range(5)))
    steps = compact(usage_database, ALL_TIME, Steady(2))
    assert next(steps) == 2
    with raw(path) as connection:
        connection.execute("DELETE FROM usage_snapshots WHERE id <= 2")
    assert sum(steps) == 3
    assert [row for block in blocks(path).values() for row, *_ in block.rows] == [3, 4, 5]
    assert [snapshot.data["n"] for snapshot in UsageSnapshot.select().order_by(UsageSnapshot.id)] == [2, 3, 4]
