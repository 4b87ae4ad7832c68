"""One migration run at a time, across processes; nothing outlives a dead holder."""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.errors import DatabaseLocked, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # pragma: no cover  Windows: the write lock of each migration's transaction remains
    fcntl = None  # type: ignore[assignment]

_POLL = 0.02  # seconds
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK if fcntl is not None else 0  # a FIFO would be waited for
_NO_FILE = "is no regular file, and the lock of migrations is one; remove it"
_KEPT_LOCALLY = "keep the database on a local disk"
_held: set[int] = set()  # descriptors


@contextmanager
def exclusive(
    database_file: str, wait: float, on_wait: Callable[[str], None], *, mode: int | None = None
) -> Iterator[Callable[[], None]]:
    """Hold the lock file `<database>-migrate` for the block, waiting up to `wait` seconds for another holder.

    Gives what looks whether the file is still the one that is held, and raises MigrationLocked if not: somebody removed
    it, so another holder may be at work. The operating system frees the lock when its holder dies, and the file goes
    with the lock; processes that the holder forks have no part in it. The file's permissions are `mode`, by default the
    database's; another user's is locked as it is, and no link is followed. `on_wait` is told once what is being waited
    for. An empty `database_file` (a database in memory) needs no lock. Raises MigrationLocked when the wait is over,
    and DatabaseUnreadable for a lock file that cannot be one, and a database that is not there, without `mode`.
    """
    if not database_file or fcntl is None:
        yield lambda: None
        return
    path = Path(f"{os.path.realpath(database_file)}-migrate")
    process = os.getpid()
    descriptor = _acquire(path, _mode_of(database_file) if mode is None else mode, wait, on_wait)
    _held.add(descriptor)
    try:
        yield partial(_check_held, descriptor, path)
    finally:
        if os.getpid() == process:
            if _is_current(descriptor, path):
                with suppress(OSError):  # another user's, or in a folder that this user may not write to any more
                    path.unlink()
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # for processes, too, that were forked in the last moment
            _held.discard(descriptor)
            os.close(descriptor)


def _check_held(descriptor: int, path: Path) -> None:
    if not _is_current(descriptor, path):
        raise DatabaseLocked(
            f"{path}: this lock file was removed or replaced while it was held, so another process may be migrating "
            "this database; nothing more was run"
        )


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
        descriptor = _open(path, mode)
        try:
            _permit(descriptor, mode)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(descriptor, path):
                return descriptor
        except BlockingIOError:
            pass
        except OSError as error:
            os.close(descriptor)
            raise DatabaseUnreadable(f"{path}: cannot be locked ({error.strerror}); {_KEPT_LOCALLY}") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise DatabaseLocked(f"another process is migrating this database; waited {wait:g} s for {path.name}")
        if not told:
            on_wait(f"another process is migrating this database; waiting up to {wait:g} s")
            told = True
        time.sleep(_POLL)


def _open(path: Path, mode: int) -> int:
    """Open a regular file to lock it, made if need be; nothing is written to it, nor made or opened through a link."""
    try:
        descriptor = _open_or_make(path, mode)
    except OSError as error:
        raise DatabaseUnreadable(f"{path}: {_why_not(path, error)}") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise DatabaseUnreadable(f"{path}: {_NO_FILE}")


def _open_or_make(path: Path, mode: int) -> int:
    make = os.O_RDWR | os.O_CREAT | _FLAGS
    with suppress(PermissionError):
        return os.open(path, make, mode)
    try:
        return os.open(path, os.O_RDONLY | _FLAGS)  # another user's, or write-protected: a lock needs no more
    except FileNotFoundError:
        return os.open(path, make, mode)  # its holder has just removed it; or it cannot be made here


def _why_not(path: Path, error: OSError) -> str:
    try:
        there = os.lstat(path).st_mode
    except OSError:
        return (
            f"this lock file cannot be made ({error.strerror}); may this user write to the folder, and is there room?"
        )
    if not stat.S_ISREG(there):
        return _NO_FILE
    return f"this lock file cannot be opened ({error.strerror}); let its owner remove it, if nobody migrates"


def _mode_of(database_file: str) -> int:
    try:
        return permissions(database_file)
    except FileNotFoundError:
        raise DatabaseUnreadable(f"{database_file}: no such database") from None


def _permit(descriptor: int, mode: int) -> None:
    # The umask, or another mode of the database. A file of several names may be one that is used elsewhere.
    there = os.fstat(descriptor)
    if there.st_mode & 0o777 != mode and there.st_uid == os.geteuid() and there.st_nlink == 1:
        os.fchmod(descriptor, mode)


def _is_current(descriptor: int, path: Path) -> bool:
    # A holder unlinks the file before it lets go, so a waiter may have locked a file that has no name any more.
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
