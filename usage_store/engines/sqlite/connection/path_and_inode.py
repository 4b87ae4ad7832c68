"""The file of a database: its absolute path, which file it is, who may use it, and how it is made."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

# Held for the moment in which a file is made or a connection is registered; a fork waits for it (see `forks`).
GATE = threading.RLock()

_ALL = 0o777
_USUAL = 0o644  # what SQLite makes a file with, less the umask


def absolute(name: str) -> str:
    """Give a file's absolute path, so that it stays the same file when the process changes its folder. Reads only."""
    path = os.path.abspath(name)
    # POSIX leaves two leading slashes alone; in SQLite's URI what follows them would be the name of a host.
    return path[1:] if path.startswith("//") else path


def inode(path: str) -> tuple[int, int] | None:
    """Give what tells the file at a path from any other, or None if there is none. Reads only. Raises OSError."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def permissions(path: str | os.PathLike[str]) -> int:
    """Give a file's permissions, such as 0o600. Reads only."""
    return os.stat(path).st_mode & _ALL


def make(path: str, mode: int | None = None) -> None:
    """Make an empty file, unless there is one already.

    With `mode` it has exactly these permissions, whatever the umask, and at no moment wider ones. Raises OSError.
    """
    path = os.path.realpath(path)  # a link may name a file that is still to be made
    # Closing a file drops the locks that this process has on it (sqlite.org/howtocorrupt.html, 2.2), so nobody here
    # may open it before it is closed.
    with GATE, suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _USUAL if mode is None else mode)
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
