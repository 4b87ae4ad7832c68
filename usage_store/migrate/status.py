"""Which migrations are applied to a database, and which are pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.errors import HistoryError, MigrationError
from usage_store.migrate.record.edited_files import find_edits
from usage_store.migrate.record.find_log import read_once
from usage_store.migrate.record.which_to_run import find_problems, newest, pending, with_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.errors import SchemaDrift
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.files_history_and_log import Records


class MigrationStatus(NamedTuple):
    """Which migrations are applied and which are pending. Version 0 means that nothing is applied.

    `problems` has the errors that `migrate()` would raise. `notices` has lines about things that are worth knowing and
    are no errors.
    """

    current_version: int
    latest_version: int
    pending_count: int
    applied_migrations: tuple[Migration, ...]
    pending_migrations: tuple[Migration, ...]
    problems: tuple[MigrationError, ...]
    notices: tuple[str, ...] = ()


def status(records: Records, *, ask: bool = False) -> MigrationStatus:
    """Compare the files with the history. Reads only.

    With `ask`, the `notices(db)` functions of the applied migrations are called.
    """
    from usage_store.migrate.files.passed_over import passed_over  # noqa: PLC0415  `check` does not need it

    files = records.files()
    try:
        applied = with_paths(records.history.applied(files), files)
    except HistoryError as error:
        return MigrationStatus(0, newest(files), len(files), (), files, (error,))
    waiting = pending(files, applied)
    edited: Sequence[MigrationError]
    try:
        edited, layout = find_edits(records.log, applied)
    except HistoryError as error:
        edited, layout = [error], []
    return MigrationStatus(
        current_version=newest(applied),
        latest_version=newest(files),
        pending_count=len(waiting),
        applied_migrations=applied,
        pending_migrations=tuple(waiting),
        problems=(*find_problems(files, applied), *edited, *unadopted(records, files, applied)),
        notices=(
            *records.history.notices(),
            *passed_over(records.directory, files, applied),
            *layout,
            *records.notices(applied, ask=ask),
        ),
    )


def unadopted(records: Records, files: Sequence[Migration], applied: Sequence[Migration]) -> list[HistoryError]:
    """Return an error if nothing has ever run here, but another tool has run these files. Reads only."""
    if applied:
        return []
    from usage_store.migrate.adopt_other_runner import not_adopted  # noqa: PLC0415  only for a new history

    found = not_adopted(records, files)
    return [] if found and records.log.checksums() else found


def check(records: Records) -> tuple[tuple[MigrationError, ...], int]:
    """Return the problems of history, files and schema, and the number of pending migrations. Reads only."""
    with read_once(records.database):
        files = records.files()
        applied = with_paths(records.history.applied(files), files)
        edited, _ = find_edits(records.log, applied)
        problems: list[MigrationError] = [*find_problems(files, applied), *edited, *unadopted(records, files, applied)]
        problems += _drift(records, applied) if applied else []
    return tuple(problems), len(pending(files, applied))


def _drift(records: Records, applied: Sequence[Migration]) -> list[SchemaDrift]:
    fingerprint = records.engine.Fingerprint(records.database)
    now = fingerprint.read()
    if records.log.is_current(now):
        return []
    from usage_store.migrate.expected_schema import drift  # noqa: PLC0415  an eighth of the start-up time of `check`

    return drift(records, applied, (fingerprint, now)).problems
