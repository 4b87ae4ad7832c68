"""Plan when blocks of five hours run, and which of them a monitor watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from usage_store.testing.seeding.counters import OPUS, SONNET, Counters, sixth_power

if TYPE_CHECKING:
    import random

HOUR = 3_600
BLOCK = 5 * HOUR
WINDOW = 96 * HOUR  # a monitor shows the blocks of so many seconds
_TWO_MODELS, _DIRECTLY_AFTER = 0.2, 0.1  # shares of the blocks


@dataclass(slots=True)
class Block:
    """A block of five hours. Its first and last message and its changes are in milliseconds."""

    start: int
    first: int
    last: int
    models: tuple[str, ...]
    messages: int
    changes: list[int] = field(default_factory=list)
    used: Counters = field(default_factory=Counters)
    shown: Counters = field(default_factory=Counters)

    @property
    def end(self) -> int:
        """The second at which the block ends."""
        return self.start + BLOCK


def planned(chance: random.Random, start: int, end: int, changes: int, *, daily: bool) -> list[Block]:
    """Return blocks, oldest first, with `changes` moments between two seconds at which the counters change.

    The last block is running at `end`. Blocks without a moment are those that a monitor finds in the logs only. With
    `daily`, each block starts 24 hours after the one before and lasts nearly five hours.
    """
    starts = [end - end % HOUR - chance.randrange(1, 4) * HOUR]
    while starts[-1] > start:
        starts.append(_before(chance, starts[-1], start - start % HOUR, daily=daily))
    inside = [begin for begin in reversed(starts) if begin + BLOCK > start]
    watched = _evenly(inside, changes)
    while watched and starts[-1] + BLOCK > watched[0] - WINDOW:
        starts.append(_before(chance, starts[-1], None, daily=daily))
    blocks = [_block(chance, begin, daily=daily) for begin in reversed(starts)] if watched else []
    begins = set(watched)
    of_watched = [block for block in blocks if block.start in begins]
    for block, number in zip(of_watched, _shares(chance, changes, len(of_watched)), strict=True):
        _spread(chance, block, number, start, end)
    return blocks


def _before(chance: random.Random, begin: int, earliest: int | None, *, daily: bool) -> int:
    """Return the start of the block before a block. A block that would start before `earliest` starts then."""
    if daily:
        return begin - 24 * HOUR
    hours = chance.randrange(5, 8) if chance.random() < _DIRECTLY_AFTER else chance.randrange(21, 30)
    before = begin - hours * HOUR
    return before if earliest is None or begin - BLOCK < earliest else max(before, earliest)


def _evenly(starts: list[int], changes: int) -> list[int]:
    """Choose as many blocks as there are changes, or all: the newest one, and others at equal distances."""
    if changes >= len(starts):
        return starts
    return [starts[-1 - number * (len(starts) - 1) // max(1, changes - 1)] for number in reversed(range(changes))]


def _block(chance: random.Random, begin: int, *, daily: bool) -> Block:
    first = begin * 1_000 + chance.randrange(5_000, 60_000 if daily else 1_800_000)
    lasts = chance.randrange(17_300_000 if daily else 3_000_000, 17_600_000)
    models = (SONNET, OPUS) if chance.random() < _TWO_MODELS else (SONNET,)
    return Block(begin, first, begin * 1_000 + lasts, models, chance.randrange(30, 170))


def _shares(chance: random.Random, changes: int, blocks: int) -> list[int]:
    """Divide the changes among the blocks by chance. Each block has at least one."""
    weights = list(accumulate(0.3 + chance.random() for _ in range(blocks)))
    ends = [int((changes - blocks) * weight / weights[-1]) for weight in weights]
    if ends:
        ends[-1] = changes - blocks
    return [1 + now - before for before, now in zip([0, *ends], ends, strict=False)]


def _spread(chance: random.Random, block: Block, number: int, start: int, end: int) -> None:
    """Set the moments at which a block's counters change: close together in some hours, and rare in others."""
    earliest = max(block.first, start * 1_000)
    block.last = max(block.last, earliest + (block.end * 1_000 - earliest) // 2)
    if block.end > end:
        block.last = end * 1_000 - 1
    # Most changes follow within seconds, and a few after a long pause.
    distances = list(accumulate(0.0005 + sixth_power(chance.random()) for _ in range(number)))
    duration = block.last - earliest
    block.changes = [earliest + int(duration * distance / distances[-1]) for distance in distances]
    block.changes[-1] = block.last
