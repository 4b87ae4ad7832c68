"""Write rows at the changes of a monitor, most of them more than once, and divide them among the sessions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from usage_store.testing.seeding.blocks import Block
    from usage_store.testing.seeding.statistics import Monitor

_PAUSES = (0, 0, 0, 1, 2)  # seconds between a row and its repeat


@dataclass(slots=True)
class Rows:
    """Rows in the order of their times, the rows that show an anomaly, and the sessions of each block."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    anomalies: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    sessions: dict[int, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))


def written(
    chance: random.Random, monitor: Monitor, blocks: Sequence[Block], sessions: Sequence[str], count: int, end: int
) -> Rows:
    """Return `count` rows, at least one for each change. Their times are seconds before `end`.

    The sessions take turns: each block has one to three sessions, or more if there are more sessions than that.
    """
    found = Rows()
    seconds = [moment // 1_000 for block in blocks for moment in block.changes]
    repeats = [0] * len(seconds)
    for number in chance.choices(range(len(seconds)), k=count - len(seconds)) if seconds else ():
        repeats[number] += 1
    turns = min(count, max(len(sessions), 2 * sum(bool(block.changes) for block in blocks)))
    latest = [*seconds[1:], end - 1]
    for number, (block, data, seen) in enumerate(monitor.watch()):
        second = seconds[number]
        for _ in range(1 + repeats[number]):
            position = len(found.rows)
            session = sessions[position * turns // count % len(sessions)]
            found.rows.append(
                {"session_id": session, "snapshot_data": data, "snapshot_type": "stats", "timestamp": second}
            )
            found.sessions[block.start][session] = None
            for word in seen:
                found.anomalies[word].append(position)
            second = min(latest[number], second + chance.choice(_PAUSES))
    return found
