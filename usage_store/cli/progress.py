"""On a terminal, how far something long has come. Elsewhere, and for what ends within a second, nothing is said."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from usage_store.cli.output import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 1.0  # seconds before anything is said
_INTERVAL = 0.2  # seconds between two lines


class Progress:
    """What has been told so far of what one command waits for."""

    def __init__(self) -> None:
        self._what = ""
        self._started = self._told = 0.0
        self._first = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how many of how many are done, how many a second, and the seconds left."""
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
    """Tell every second of the block how long it has taken: for what SQLite does in one statement."""
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
    # Back at the line's start, so that whatever is printed next, an error too, takes its place.
    sys.stderr.write(f"{shown(line)}\x1b[K\r")
    sys.stderr.flush()
