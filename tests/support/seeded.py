"""What `seed_usage` says and stores, for the tests that compare both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.testing import Seeded, seed_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

NOW = 1_752_900_000
HOUR = 3_600
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "snapshots" / "templar.snapshots.jsonl.gz"
TOKENS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")


class Written(NamedTuple):
    """What seed_usage says, the texts that are stored, and their values."""

    seeded: Seeded
    texts: list[str]
    snapshots: list[Any]

    @property
    def times(self) -> list[int]:
        """The times of the snapshots, in the order in which they were written."""
        return [row["timestamp"] for row in self.seeded.snapshots]

    @property
    def currents(self) -> list[Any]:
        """The current block of each snapshot."""
        return [snapshot["current_session"] for snapshot in self.snapshots]

    def changes(self) -> Iterator[tuple[int, Any]]:
        """Yield the snapshots that do not repeat the one before, with their times."""
        before = None
        for seconds, snapshot in zip(self.times, self.snapshots, strict=True):
            if snapshot != before:
                yield seconds, snapshot
            before = snapshot


def seeded(database: peewee.Database, **arguments: Any) -> Written:
    """Seed a database, by default with data that end at NOW."""
    said = seed_usage(database, **{"now": NOW, **arguments})
    texts = [text for (text,) in database.execute_sql("SELECT snapshot_data FROM usage_snapshots ORDER BY id")]
    return Written(said, texts, [json.loads(text) for text in texts])


def shown_blocks(snapshot: Any) -> list[Any]:
    """List the blocks of a snapshot, oldest first, without gaps."""
    return [block for block in (*snapshot["recent_sessions"], snapshot["current_session"]) if block["models"]]
