"""Choose how many rows each of many short transactions changes, so that each takes about the same time."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

HOLD = 0.010  # seconds that a transaction of a long job should take
_TOO_LONG = 4  # a slice that takes so many times `hold` is too long
_LARGEST = 100_000  # rows in a slice
_REMEMBERED = 4  # slices whose speed is remembered


class Turns(Protocol):
    """The transactions of a long job. A slice is one short transaction.

    `hold` is the number of seconds that a slice should take. `last` is the number that the last slice took.
    """

    @property
    def hold(self) -> float:
        """The number of seconds that a slice should take."""

    @property
    def last(self) -> float:
        """The number of seconds that the last slice took."""

    def slice(self, database: Any) -> AbstractContextManager[None]:
        """Run the block in a write transaction, and measure how long it takes."""


class OneTurn:
    """Run the whole job in the transaction that is already open."""

    hold = HOLD
    last = 0.0

    @contextmanager
    def slice(self, database: Any) -> Iterator[None]:  # noqa: ARG002  the signature of Turns
        """Run the block and do nothing else: the open transaction holds the locks and commits."""
        yield


class Pace:
    """Choose how many rows the next slice may change, so that it takes `hold` seconds of its `turns`.

    `size` is that number of rows. It follows the speed of the last slices.
    """

    def __init__(self, turns: Turns, size: int = 10) -> None:
        self.size = size
        self._turns = turns
        self._seconds_a_row: deque[float] = deque(maxlen=_REMEMBERED)

    @contextmanager
    def slice(self, database: Any, rows: int | None = None) -> Iterator[None]:
        """Run the block as one slice, measure it, and set `size` for the next slice.

        `rows` is the number of rows that the block changes, if it is not `size`.
        """
        with self._turns.slice(database):
            yield
        # Take the fastest of the last slices. A slow one is often slow for another reason, such as a busy processor,
        # and fewer rows would not make it faster.
        self._seconds_a_row.append(max(self._turns.last, 1e-6) / (rows or self.size))
        hold = self._turns.hold
        most = 2 * self.size if self._turns.last <= _TOO_LONG * hold else self.size // 2
        self.size = max(1, min(_LARGEST, most, int(hold / min(self._seconds_a_row))))
