"""One migration run at a time, across processes; nothing outlives a dead holder."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.errors import DatabaseUnreadable, MigrationLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows: the write lock of each migration's transaction remains
    fcntl = None  # type: ignore[assignment]

_POLL = 0.02  # seconds
_held: set[int] = set()  # descriptors


@contextmanager
def exclusive(
    database_file: str, wait: float, on_wait: Callable[[str], None], *, mode: int | None = None
) -> Iterator[None]:
    """Hold the lock file `<database>-migrate` for the block, waiting up to `wait` seconds for another holder.

    The operating system frees the lock when its holder dies, and the file goes with the lock; processes that the
    holder forks have no part in it. The file's permissions are `mode`, by default the database's. `on_wait` is told
    once what is being waited for. An empty `database_file` (a database in memory) needs no lock. Raises
    MigrationLocked when the wait is over, and DatabaseUnreadable for a file that is not there, without `mode`.
    """
    if not database_file or fcntl is None:
        yield
        return
    path = Path(f"{os.path.realpath(database_file)}-migrate")
    process = os.getpid()
    descriptor = _acquire(path, _mode_of(database_file) if mode is None else mode, wait, on_wait)
    _held.add(descriptor)
    try:
        yield
    finally:
        if os.getpid() == process:
            path.unlink(missing_ok=True)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # for processes, too, that were forked in the last moment
            _held.discard(descriptor)
            os.close(descriptor)


def _let_go() -> None:
    # The lock belongs to the open file, which a forked process shares: it would hold it for as long as it lives.
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _acquire(path: Path, mode: int, wait: float, on_wait: Callable[[str], None]) -> int:
    deadline = time.monotonic() + wait
    told = False
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, mode)
        try:
            _permit(descriptor, mode)
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


def _mode_of(database_file: str) -> int:
    try:
        return permissions(database_file)
    except FileNotFoundError:
        raise DatabaseUnreadable(f"{database_file}: no such database") from None


def _permit(descriptor: int, mode: int) -> None:
    there = os.fstat(descriptor)
    if there.st_mode & 0o777 != mode and there.st_uid == os.geteuid():  # the umask, or another mode of the database
        os.fchmod(descriptor, mode)


def _is_current(descriptor: int, path: Path) -> bool:
    # A holder unlinks the file before it lets go, so a waiter may have locked a file that has no name any more.
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
