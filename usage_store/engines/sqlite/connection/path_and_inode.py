"""Handle the file of a database: its absolute path, its identity, its permissions, and how it is made."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

# Held while a file is made or a connection is registered; a fork waits for it (see `forks`).
GATE = threading.RLock()

_ALL = 0o777
_USUAL = 0o644  # SQLite's permissions for a new file; the umask is subtracted


def absolute(name: str) -> str:
    """Return the absolute path of a file, which stays right when the process changes its folder. Reads only."""
    path = os.path.abspath(name)
    # POSIX keeps two leading slashes. In a URI of SQLite, the text after two slashes would be a host.
    return path[1:] if path.startswith("//") else path


def inode(path: str) -> tuple[int, int] | None:
    """Return the identity of the file at a path (device and inode), or None if there is none.

    Raises OSError. Reads only.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def permissions(path: str | os.PathLike[str]) -> int:
    """Return the permissions of a file, such as 0o600. Reads only."""
    return os.stat(path).st_mode & _ALL


def make(path: str, mode: int | None = None) -> None:
    """Make an empty file, unless the file exists.

    With `mode`, it has exactly these permissions whatever the umask is, and never wider ones. Raises OSError.
    """
    path = os.path.realpath(path)  # a link may point to a file that does not exist yet
    # When a process closes a file, it loses its locks on that file (sqlite.org/howtocorrupt.html, 2.2). So no other
    # thread may open the file before it is closed here.
    with GATE, suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _USUAL if mode is None else mode)
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
