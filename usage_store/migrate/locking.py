"""One migration run at a time, across processes; nothing outlives a dead holder."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.errors import MigrationLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows: the write lock of each migration's transaction remains
    fcntl = None  # type: ignore[assignment]

__all__ = ["exclusive"]

_POLL = 0.02  # seconds


@contextmanager
def exclusive(database_file: str, wait: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `<database>-migrate` for the block, waiting up to `wait` seconds for another holder.

    The operating system frees the lock when its holder dies, and the file goes with the lock. `on_wait` is told
    once what is being waited for. An empty `database_file` (a database in memory) needs no lock. Raises
    MigrationLocked when the wait is over.
    """
    if not database_file or fcntl is None:
        yield
        return
    path = Path(f"{os.path.realpath(database_file)}-migrate")
    descriptor = _acquire(path, wait, on_wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, wait: float, on_wait: Callable[[str], None]) -> int:
    deadline = time.monotonic() + wait
    told = False
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(descriptor, path):
                return descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise MigrationLocked(f"another process is migrating this database; waited {wait:g} s for {path.name}")
        if not told:
            on_wait(f"another process is migrating this database; waiting up to {wait:g} s")
            told = True
        time.sleep(_POLL)


def _is_current(descriptor: int, path: Path) -> bool:
    # A holder unlinks the file before it lets go, so a waiter may have locked a file that has no name any more.
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
