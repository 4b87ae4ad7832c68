"""Record migrations as applied without running them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError
from usage_store.migrate import registry
from usage_store.migrate.execution import Execution
from usage_store.migrate.history import with_paths
from usage_store.migrate.log import Fingerprint
from usage_store.pacing import write_transaction

if TYPE_CHECKING:
    from usage_store.migrate.registry import Migration
    from usage_store.migrate.runner import MigrationRunner

__all__ = ["stamp"]

logger = logging.getLogger("usage_store.migrate")


def stamp(runner: MigrationRunner, version: int) -> tuple[Migration, ...]:
    """Record every pending version up to this one, or this one's file again if it is applied; in one transaction.

    Raises ConfigurationError for a version without a file, and changes nothing.
    """
    files = registry.discover(runner.directory)
    known = [file.version for file in files]
    if version not in known:
        raise ConfigurationError(f"no migration has version {version}; allowed: {', '.join(map(str, known))}")
    execution = Execution(runner.database, runner.history, runner.log, "up", lambda _: None)
    with execution.alone(runner.wait, runner.on_wait), write_transaction(runner.database):
        applied = {row.version for row in with_paths(runner.history.applied(files), files)}
        chosen = [file for file in files if file.version <= version and file.version not in applied]
        if version in applied:
            chosen = [file for file in files if file.version == version]
        runner.history.create()
        runner.log.create()
        fingerprint = Fingerprint(runner.database).read()
        for migration in chosen:
            if migration.version not in applied:
                runner.history.record(migration)
            runner.log.append(migration, "stamp", 0.0, migration.read(), fingerprint)
            logger.info("stamped %s", migration)
    return tuple(chosen)
