"""Find applied migrations whose files were edited later, and decide whether the edit changes their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import EditedMigration
from usage_store.migrate.record.source_text import as_text, checksum, harmless_edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import Log

_MOST_SHOWN = 2**18  # bytes of a text: the time for a diff can grow with the square of the length


def find_edits(log: Log, applied: Sequence[Migration]) -> tuple[list[EditedMigration], list[str]]:
    """Compare the files of applied migrations with the log. Reads only, and runs no migration.

    Returns an error for each edit that may change what the migration does, and a notice for each other edit. A
    migration is skipped if its file is missing or the log has no line for it.
    """
    logged = log.checksums()
    edited = [
        (migration, source)
        for migration in applied
        if migration.file is not None
        and migration.version in logged
        and checksum(source := migration.read()) != logged[migration.version]
    ]
    if not edited:
        return [], []
    from usage_store.migrate.record.stored_source import stored_source  # noqa: PLC0415  `check` rarely needs it

    problems, notices = [], []
    for migration, now in edited:
        before = stored_source(log, migration)
        if before is None or checksum(before) == checksum(now):
            continue
        harmless = harmless_edit(before, now)
        if harmless is None:
            problems.append(_problem(migration, before, now))
        else:
            notices.append(f"{migration.file_name} was edited after it was applied, {harmless}")
    return problems, notices


def _problem(migration: Migration, before: bytes, now: bytes) -> EditedMigration:
    name = migration.file_name
    return EditedMigration(
        f"{name} was edited after it was applied; restore it and write a new migration, "
        f"or accept the edited file with `stamp {migration.version}`",
        version=migration.version,
        diff=_diff(name, before, now),
    )


def _diff(name: str, before: bytes, now: bytes) -> str:
    import difflib  # noqa: PLC0415  1 % of the start-up time of `check`

    if max(len(before), len(now)) > _MOST_SHOWN:
        return f"{name} is too long to show the differences"
    old, new = as_text(before).splitlines(), as_text(now).splitlines()
    return "\n".join(difflib.unified_diff(old, new, f"{name} as applied", f"{name} now", lineterm=""))
