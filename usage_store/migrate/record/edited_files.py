"""Find applied migrations whose files were edited since, and judge the edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import EditedMigration
from usage_store.migrate.record.source_text import as_text, checksum, harmless_edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import Log

_MOST_SHOWN = 2**18  # characters of a text: a diff can take the square of them


def find_edits(log: Log, applied: Sequence[Migration]) -> tuple[list[EditedMigration], list[str]]:
    """Compare the files of applied migrations with the log: edits of their meaning, and notices of others.

    Migrations that the log does not know, or whose files are gone, are left out. Reads only, and runs none.
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
    from usage_store.migrate.record.stored_source import stored_source  # noqa: PLC0415  `check` mostly does without

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
        f"or accept it as it is with `stamp {migration.version}`",
        version=migration.version,
        diff=_diff(name, before, now),
    )


def _diff(name: str, before: bytes, now: bytes) -> str:
    import difflib  # noqa: PLC0415  1 % of what `check` takes to start

    if max(len(before), len(now)) > _MOST_SHOWN:
        return f"{name} is too long to show what was edited"
    old, new = as_text(before).splitlines(), as_text(now).splitlines()
    return "\n".join(difflib.unified_diff(old, new, f"{name} as applied", f"{name} now", lineterm=""))
