"""Make disks that are too small for what is written to them."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
from typing import TYPE_CHECKING

from tests.support.databases import fill, overwrite
from tests.support.programs import ROUNDS, forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_MAX_PAGE = 65536


def make_huge(path: Path) -> int:
    """Make a database that is larger than the free space of the disk (a sparse file), and give its size."""
    fill(path, 1, mode="delete", page=_MAX_PAGE)
    pages = (shutil.disk_usage(path.parent).free + 2**30) // _MAX_PAGE
    overwrite(path, 28, struct.pack(">I", pages))  # sqlite.org/fileformat2.html: the size of the database in pages
    os.truncate(path, pages * _MAX_PAGE)
    return pages * _MAX_PAGE


def growing(first: int, least: int) -> Iterator[int]:
    """Give sizes without end, each a quarter larger, or by a fixed number; more rounds try more sizes."""
    size = first
    while True:
        yield size
        size += max(least, size // (4 * ROUNDS))


def forked_with_small_files(action: Callable[[], object], limit: int = 2**26) -> int:
    """Run a function as `forked` does, but no file can grow above `limit` bytes: writes then fail."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        action()

    return forked(limited)
