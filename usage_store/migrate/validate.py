"""Check whether a database is intact and has the schema that its migrations create."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.errors import CorruptDatabase, ForeignKeyViolations, HistoryError, UsageStoreError
from usage_store.migrate.expected_schema import Drift, drift
from usage_store.migrate.files.passed_over import passed_over
from usage_store.migrate.record.edited_files import find_edits
from usage_store.migrate.record.which_to_run import find_problems, pending, with_paths
from usage_store.migrate.status import unadopted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.files.migrations_folder import Check
    from usage_store.migrate.record.files_history_and_log import Records

_MAX_DAMAGE_LINES = 10


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a validation: `problems` has errors of one line each, `notices` has lines that are no errors."""

    problems: tuple[UsageStoreError, ...]
    notices: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def validate(
    records: Records,
    checks: Sequence[Check],
    compare: Callable[[Records, Sequence[Migration]], Drift] = drift,
    *,
    full: bool,
    ask: bool,
) -> Report:
    """Check integrity, foreign keys, history and schema, and then run the application's own checks. Reads only.

    If the database is corrupt, only that is reported. `compare` compares the schema with the expected one. With `ask`,
    the `notices(db)` functions of the applied migrations are called.
    """
    database, engine, files = records.database, records.engine, records.files()
    said: list[str] = []
    damage = engine.damage(database, full=full, most=_MAX_DAMAGE_LINES, on_unchecked=said.append)
    if damage:
        return Report(tuple(CorruptDatabase(f"the database is corrupt: {line}") for line in damage), tuple(said))
    try:
        applied = with_paths(records.history.applied(files), files)
    except HistoryError as error:
        return Report((error,), tuple(said))
    problems: list[UsageStoreError] = [
        ForeignKeyViolations(f"{line} ({count}); {engine.VIOLATIONS_HINT}")
        for line, count in engine.violations(database, on_unchecked=said.append).items()
    ]
    edited, layout = find_edits(records.log, applied)
    problems += find_problems(files, applied)
    problems += [*edited, *unadopted(records, files, applied)]
    said += [
        *records.history.notices(),
        *passed_over(records.directory, files, applied),
        *layout,
        *records.notices(applied, ask=ask),
    ]
    if applied:
        drifted, notes = compare(records, applied)
        problems += drifted
        said += notes
        found = [each for check in checks for each in check(database, full=full)]
        problems += [each for each in found if not isinstance(each, str)]
        said += [each for each in found if isinstance(each, str)]
    waiting = len(pending(files, applied))
    if waiting:
        said.append(f"{waiting} pending")
    return Report(tuple(problems), tuple(said))
