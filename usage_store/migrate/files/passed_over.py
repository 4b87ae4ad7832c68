"""Find files that look like migrations but are not run, and numbers that no migration has."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from usage_store.migrate.files.find_files import names_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.migrate.files.migration import Migration

_LIKE_A_MIGRATION = re.compile(r"([0-9]+)_\w+\.(sql|py)", re.IGNORECASE)


def passed_over(directory: str, files: Sequence[Migration], applied: Sequence[Migration]) -> list[str]:
    """Return notices about files that look like migrations but are not run, and about missing numbers. Reads only.

    Missing numbers are named only if there are fewer of them than migrations: numbers made from dates leave many gaps.
    """
    versions = {migration.version for migration in (*files, *applied)}
    return [*no_migrations(directory, versions), *gaps_between(sorted(versions))]


def no_migrations(directory: str, versions: set[int]) -> Iterator[str]:
    """Yield a notice for each file that looks like a migration and is not run. Reads only."""
    for name in names_in(directory):
        match = _LIKE_A_MIGRATION.fullmatch(name)
        if match is None or name.endswith(".py"):
            continue
        if match[2].lower() == "py":
            yield f"{name} is not run: the name of a migration must end in .py, in lower case"
        elif int(match[1]) not in versions:  # a migration with the same number may read the file
            yield f"{name} is not run: migrations are .py files; write one that executes this SQL"


def gaps_between(versions: Sequence[int]) -> Iterator[str]:
    """Yield a notice about missing numbers, if there are fewer of them than versions."""
    gaps = [(low + 1, high - 1) for low, high in pairwise(versions) if high - low > 1]
    if 0 < sum(last - first + 1 for first, last in gaps) < len(versions):
        listed = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps)
        yield f"no migration has the number {listed}; check whether a file is missing"
