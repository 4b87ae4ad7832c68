"""Write the rows of a copy in short transactions, and hash what the target holds after each of them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.copy_store.store import hashes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from usage_store.copy_store.store import Store

    Hashes = list[tuple[int, str, int]]


class Part(NamedTuple):
    """The rows of one transaction: those of the source with ids above `after`, up to that of the last row."""

    after: int
    rows: list[tuple[Any, ...]]


class Written(NamedTuple):
    """Id, session and hash of each row of a part, as it was read from the source and from the target."""

    source: Hashes
    target: Hashes


def written(target: Store, parts: Iterable[Part], threads: int) -> Iterator[Written]:
    """Write parts, each in a transaction, and yield each after its commit.

    `parts` is read by this thread. The parts are written by `threads` other threads, each with a connection of its own,
    so that reading and writing need not wait for each other; without threads, they are written by this one.
    """
    if not threads:
        yield from (_write(target, part) for part in parts)
        return
    waiting = deque[Any]()
    with ThreadPoolExecutor(threads, "usage_store_copy") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(_write, target, part))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def _write(target: Store, part: Part) -> Written:
    target.rows.put_snapshots(target.database, part.rows)
    there = target.snapshots(part.after, part.rows[-1][0])
    return Written(list(hashes_of(part.rows)), list(hashes_of(there)))
