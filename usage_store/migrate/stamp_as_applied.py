"""Record migrations as applied without running them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError, MissingMigration
from usage_store.migrate.record.which_to_run import find_problems, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records

logger = logging.getLogger("usage_store.migrate")


def stamp(records: Records, version: int, wait: float, on_wait: Callable[[str], None]) -> tuple[Migration, ...]:
    """Record every pending version up to `version` as applied, without running it, in one transaction.

    If `version` is applied already, only its file is recorded again, as it is now. Returns the recorded migrations.
    If an error is raised, nothing was changed. Raises ConfigurationError for a version without a file, and
    MissingMigration for a version that was applied under another name.
    """
    files = records.files()
    known = [file.version for file in files]
    if version not in known:
        raise ConfigurationError(f"no migration has version {version}; allowed: {', '.join(map(str, known))}")
    with records.alone(wait, on_wait), records.engine.write_transaction(records.database):
        rows = records.history.applied(files)
        applied = {row.version for row in rows}
        if version in applied:
            chosen = tuple(file for file in files if file.version == version)
        else:
            chosen = tuple(file for file in pending(files, rows) if file.version <= version)
        _require_own_names(files, rows, chosen)
        records.stamp(chosen, applied)
    for migration in chosen:
        logger.info("stamped %s", migration)
    return chosen


def _require_own_names(files: Sequence[Migration], rows: Sequence[Migration], chosen: Sequence[Migration]) -> None:
    versions = {file.version for file in chosen}
    for problem in find_problems(files, rows):
        if isinstance(problem, MissingMigration) and problem.version in versions:
            raise problem
