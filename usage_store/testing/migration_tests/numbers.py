"""Look at the names of the migration files: duplicate numbers, gaps, and files that only look like migrations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines import engine_at
from usage_store.errors import UsageStoreError
from usage_store.migrate.files.find_files import discover, names_in
from usage_store.migrate.files.passed_over import gaps_between, no_migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERED = re.compile(r"([0-9]+)\W?_?.*")
_MIGRATION = re.compile(r"[0-9]+_\w+(\.[a-z][a-z0-9]*)?\.py")


def wrong_numbers(directory: str, *, gaps: bool) -> list[str]:
    """Return one line for each thing that is wrong with the names of the files. Reads only.

    With `gaps`, numbers may be missing.
    """
    try:
        files = discover(directory, engine_at("").NAME)
    except UsageStoreError as error:
        return [str(error)]
    versions = {migration.version for migration in files}
    lines = [*no_migrations(directory, versions), *_look_alikes(directory, versions)]
    if not gaps:
        lines += (
            f"{line}; if the gap is meant, write gaps = True in the test class"
            for line in gaps_between(sorted(versions))
        )
    return lines


def _look_alikes(directory: str, versions: set[int]) -> Iterator[str]:
    """Yield a line for each numbered file that no run takes: a copy of a migration, or one with another ending."""
    for name in names_in(directory):
        match = _NUMBERED.fullmatch(name)
        if match is None or _MIGRATION.fullmatch(name) or name.lower().endswith((".sql", ".py")):
            continue
        if ".py" in name.lower():
            yield f"{name} is not run, and looks like a copy of a migration: delete it, or let its name start with _"
        elif int(match[1]) not in versions:  # a migration with the same number may read the file
            yield f"{name} is not run: name a migration like 001_add_users.py, or let its name start with _"
