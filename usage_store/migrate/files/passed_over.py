"""What stands among migrations and looks like one, and what is missing among their numbers."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.migrate.files.migration import Migration

_LIKE_A_MIGRATION = re.compile(r"([0-9]+)_\w+\.(sql|py)", re.IGNORECASE)


def passed_over(directory: str, files: Sequence[Migration], applied: Sequence[Migration]) -> list[str]:
    """Say which files of a directory are not run though they look like migrations, and which numbers none has.

    Numbers are missed only if fewer are missing than there are, since times as numbers leave gaps. Reads only.
    """
    versions = {migration.version for migration in (*files, *applied)}
    return [*_no_migrations(directory, versions), *_gaps(sorted(versions))]


def _no_migrations(directory: str, versions: set[int]) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):
        match = _LIKE_A_MIGRATION.fullmatch(name)
        if match is None or name.endswith(".py"):
            continue
        if match[2].lower() == "py":
            yield f"{name} is not run: the name of a migration ends in .py, in small letters"
        elif int(match[1]) not in versions:  # or else a migration may read it
            yield f"{name} is not run: a migration is a .py file, which can send what is in it"


def _gaps(versions: Sequence[int]) -> Iterator[str]:
    gaps = [(low + 1, high - 1) for low, high in pairwise(versions) if high - low > 1]
    if 0 < sum(last - first + 1 for first, last in gaps) < len(versions):
        listed = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps)
        yield f"no migration has the number {listed}: if there is one, its file is not here"
