"""Disks that are too small for what is written to them."""

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
    """Make a database, with a hole in its file, that is larger than what the disk has free, and give its size."""
    fill(path, 1, mode="delete", page=_MAX_PAGE)
    pages = (shutil.disk_usage(path.parent).free + 2**30) // _MAX_PAGE
    overwrite(path, 28, struct.pack(">I", pages))  # sqlite.org/fileformat2.html: the size of the database in pages
    os.truncate(path, pages * _MAX_PAGE)
    return pages * _MAX_PAGE


def growing(first: int, least: int) -> Iterator[int]:
    """Sizes without an end, each a sixth larger than the one before, or by so many; more rounds try more of them."""
    size = first
    while True:
        yield size
        size += max(least, size // (6 * ROUNDS))


def forked_with_small_files(action: Callable[[], object], limit: int = 2**26) -> int:
    """Run something as `forked` does, where no file can grow above `limit` bytes: the disk fails there."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        action()

    return forked(limited)
