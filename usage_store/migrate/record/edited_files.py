"""Find applied migrations whose files were edited since, and judge the edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import EditedMigration
from usage_store.migrate.record.source_text import checksum, same_meaning
from usage_store.migrate.record.which_to_run import is_named_alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import Log


def find_edits(log: Log, applied: Sequence[Migration]) -> tuple[list[EditedMigration], list[str]]:
    """Compare the files of applied migrations with the log: edits of their meaning, and notices of mere layout.

    Migrations that the log does not know, or whose files are gone or have another name, are left out. Reads only.
    """
    logged = log.checksums()
    edited = [
        (migration, source)
        for migration in applied
        if migration.file is not None
        and migration.version in logged
        and checksum(source := migration.read()) != logged[migration.version]
        and is_named_alike(migration)
    ]
    if not edited:
        return [], []
    sources = {entry.version: entry.source for entry in log.entries(latest_only=True)}
    problems, notices = [], []
    for migration, source in edited:
        before, now = sources[migration.version], source.decode(errors="replace")
        if same_meaning(before, now):
            notices.append(f"{migration.file_name} was edited after it was applied, in comments or layout only")
        else:
            problems.append(_problem(migration, before, now))
    return problems, notices


def _problem(migration: Migration, before: str, now: str) -> EditedMigration:
    import difflib  # noqa: PLC0415  1 % of what `check` takes to start

    name = migration.file_name
    diff = difflib.unified_diff(before.splitlines(), now.splitlines(), f"{name} as applied", f"{name} now", lineterm="")
    return EditedMigration(
        f"{name} was edited after it was applied; restore it and write a new migration, "
        f"or accept it as it is with `stamp {migration.version}`",
        version=migration.version,
        diff="\n".join(diff),
    )
