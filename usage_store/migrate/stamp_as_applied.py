"""Record migrations as applied without running them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.file.schema_hash import Fingerprint
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.errors import ConfigurationError
from usage_store.migrate.files import find_files
from usage_store.migrate.record.which_to_run import with_paths
from usage_store.migrate.run_in_transactions import Execution

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.runner import MigrationRunner


logger = logging.getLogger("usage_store.migrate")


def stamp(runner: MigrationRunner, version: int) -> tuple[Migration, ...]:
    """Record every pending version up to this one, or this one's file again if it is applied; in one transaction.

    Raises ConfigurationError for a version without a file, and changes nothing.
    """
    files = find_files.discover(runner.directory)
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
