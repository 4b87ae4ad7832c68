"""Copy the real snapshots of 3.9 days until there are as many as a team of eight writes in months or years.

Each copy has its own sessions and numbers, because equal numbers would make compression look better than it is: to
every run of two or more digits in a text (counts, costs, times) a copy adds its own offset for that number of digits.
Numbers that are equal or close in the original are so within a copy, but not between copies. Eight copies at a time
are interleaved, like eight people who work, and then the next eight follow, until the last snapshot at `end`.
"""

from __future__ import annotations

import gzip
import heapq
import json
import random
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Row", "original", "replicated"]

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "snapshots" / "templar.snapshots.jsonl.gz"
PEOPLE = 8
_DIGITS = re.compile(r"[0-9]{2,}")


class Row(NamedTuple):
    """A snapshot as it is stored."""

    session_id: str
    snapshot_data: str
    snapshot_type: str
    timestamp: int


def original(path: Path = SHARED) -> list[Row]:
    """Read the real snapshots, with timestamps in seconds."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [Row(s["session_id"], s["snapshot_data"], s["snapshot_type"], s["timestamp"] // 1000) for s in found]


def replicated(count: int, end: int, path: Path = SHARED) -> Iterator[Row]:
    """Yield `count` snapshots in the order of their time."""
    rows = original(path)
    span = rows[-1].timestamp - rows[0].timestamp + 1
    rounds = -(-count // (PEOPLE * len(rows)))
    surplus = rounds * PEOPLE * len(rows) - count
    for number in range(rounds):
        shift = end - (rounds - number) * span - rows[0].timestamp
        copies = [_copy(rows, number * PEOPLE + person, shift + 7 * person) for person in range(PEOPLE)]
        for row in heapq.merge(*copies, key=lambda row: row.timestamp):
            if surplus:
                surplus -= 1
            else:
                yield row


def _copy(rows: list[Row], seed: int, shift: int) -> Iterator[Row]:
    chance = random.Random(seed)
    offsets = [chance.randrange(10**digits) // 2 for digits in range(40)]
    sessions = {row.session_id: "" for row in rows}
    sessions = {session: str(uuid.UUID(int=chance.getrandbits(128), version=4)) for session in sessions}
    texts: dict[str, str] = {}

    def moved(found: re.Match[str]) -> str:
        digits = len(found[0])
        number = str((int(found[0]) + offsets[min(digits, 39)]) % 10**digits).zfill(digits)
        # In JSON, a number of several digits does not begin with a zero.
        fraction = found.string[found.start() - 1] == "."
        return number if fraction or number[0] != "0" else "1" + number[1:]

    for session, text, kind, timestamp in rows:
        if text not in texts:
            texts[text] = _DIGITS.sub(moved, text)
        yield Row(sessions[session], texts[text], kind, timestamp + shift)
