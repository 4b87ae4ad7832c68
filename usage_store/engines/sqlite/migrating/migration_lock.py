"""Let only one process at a time migrate a database. The lock ends when its holder dies."""

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
except ImportError:  # pragma: no cover  Windows: only the write lock of each transaction protects there
    fcntl = None  # type: ignore[assignment]

_POLL = 0.02  # seconds
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK if fcntl is not None else 0  # open() would wait at a FIFO
_NO_FILE = "is no regular file, but the lock file of migrations must be one; remove it"
_KEPT_LOCALLY = "keep the database on a local disk"
_held: set[int] = set()  # file descriptors of the locks that this process holds


@contextmanager
def exclusive(
    database_file: str, wait: float, on_wait: Callable[[str], None], *, mode: int | None = None
) -> Iterator[Callable[[], None]]:
    """Hold the lock file `<database>-migrate` during the block; wait up to `wait` seconds for another holder.

    `on_wait` gets one message when the waiting begins. An empty `database_file` (a database in memory) needs no lock.

    The block gets a function that raises DatabaseLocked if the lock file was removed or replaced, because then another
    process may be migrating. The operating system frees the lock when its holder dies, and processes that the holder
    forks do not share it. The file is deleted at the end. Its permissions are `mode`, by default those of the database.
    A file of another user is locked as it is. Symbolic links are not followed.

    Raises DatabaseLocked when the time is over. Raises DatabaseUnreadable where the lock file cannot be made or
    locked, and, without `mode`, where the database does not exist.
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
                with suppress(OSError):  # the file is another user's, or the folder is now write-protected
                    path.unlink()
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # frees it, too, for a process that was forked a moment ago
            _held.discard(descriptor)
            os.close(descriptor)


def _check_held(descriptor: int, path: Path) -> None:
    if not _is_current(descriptor, path):
        raise DatabaseLocked(
            f"{path}: this lock file was removed or replaced while it was held, so another process may be migrating "
            "this database; nothing more was run"
        )


def _let_go() -> None:
    # A forked process shares the open file and so the lock: it would hold the lock as long as it lives.
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
    """Open the lock file, and create it if it is missing.

    Nothing is written to it, and a symbolic link is not followed.
    """
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
        return os.open(
            path, os.O_RDONLY | _FLAGS
        )  # another user's file, or a write-protected one: reading is enough for a lock
    except FileNotFoundError:
        return os.open(path, make, mode)  # its holder has just removed it; if it cannot be made, this raises


def _why_not(path: Path, error: OSError) -> str:
    try:
        there = os.lstat(path).st_mode
    except OSError:
        return (
            f"this lock file cannot be made ({error.strerror}); check that this user may write to the folder, and that "
            "the disk is not full"
        )
    if not stat.S_ISREG(there):
        return _NO_FILE
    return f"this lock file cannot be opened ({error.strerror}); let its owner remove it when no process is migrating"


def _mode_of(database_file: str) -> int:
    try:
        return permissions(database_file)
    except FileNotFoundError:
        raise DatabaseUnreadable(f"{database_file}: no such database") from None


def _permit(descriptor: int, mode: int) -> None:
    # Mends what the umask took away, or a changed mode of the database. A file with several names (hard links) may be
    # used elsewhere.
    there = os.fstat(descriptor)
    if there.st_mode & 0o777 != mode and there.st_uid == os.geteuid() and there.st_nlink == 1:
        os.fchmod(descriptor, mode)


def _is_current(descriptor: int, path: Path) -> bool:
    # A holder deletes the file before it frees the lock, so a waiting process may lock a file that is already deleted.
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
