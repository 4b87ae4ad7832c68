"""Show the progress of long work on a terminal. Nothing is shown elsewhere, or for work that ends within a second."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from usage_store.cli.output import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 1.0  # seconds before the first line
_INTERVAL = 0.2  # seconds between two lines


class Progress:
    """The progress of the work of one command."""

    def __init__(self) -> None:
        self._what = ""
        self._started = self._told = 0.0
        self._first = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how many of `total` are done, how many in a second, and the seconds that are left."""
        if not sys.stderr.isatty():
            return
        now = time.monotonic()
        if what != self._what:
            self._what, self._started, self._told, self._first = what, now, now - _INTERVAL, done
        elapsed = now - self._started
        if done >= total:
            _show("")
            self._what = ""
        elif elapsed >= _PATIENCE and now - self._told >= _INTERVAL:
            rate = (done - self._first) / elapsed
            left = f", {(total - done) / rate:,.0f} s left" if rate else ""
            _show(f"{what}: {done:,} of {total:,} ({done * 100 // total} %), {rate:,.0f} a second{left}")
            self._told = now


@contextmanager
def ticking(what: str) -> Iterator[None]:
    """Show every second how long the block has taken. For work that SQLite does in one statement."""
    if not sys.stderr.isatty():
        yield
        return
    ended = Event()
    ticker = Thread(target=_tick, args=(what, ended), daemon=True)
    ticker.start()
    try:
        yield
    finally:
        ended.set()
        ticker.join()
        _show("")


def _tick(what: str, ended: Event) -> None:
    started = time.monotonic()
    while not ended.wait(_PATIENCE):
        _show(f"{what}: {time.monotonic() - started:.0f} s")


def _show(line: str) -> None:
    # The carriage return makes the next output, also an error, replace this line.
    sys.stderr.write(f"{shown(line)}\x1b[K\r")
    sys.stderr.flush()
