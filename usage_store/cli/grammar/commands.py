"""Every command: the words that call it, its argument, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.cli.grammar.options import MIGRATION_FILES

if TYPE_CHECKING:
    from collections.abc import Mapping


class Command(NamedTuple):
    """A command: its line in the list of commands, its arguments, and the options that not every command has."""

    summary: str
    argument: str = ""
    options: tuple[str, ...] = ()


def _on_files(summary: str, argument: str = "", *options: str) -> Command:
    return Command(summary, argument, (*options, *MIGRATION_FILES))


Words = tuple[str, ...]
COMMANDS: Mapping[Words, Command] = {
    (): Command(""),
    ("migrate",): _on_files("create the database, or bring its tables up to date", "", "--no-backup", "--mode"),
    ("migrate", "status"): _on_files(
        "show which migrations are applied and which are pending", "", "--check", "--notices"
    ),
    ("migrate", "check"): _on_files("exit with 0 only if nothing is pending or wrong", "", "--models"),
    ("migrate", "rollback"): _on_files(
        "undo the newest migration, or all above VERSION", "[VERSION]", "--no-backup", "--stored-source"
    ),
    ("migrate", "validate"): _on_files(
        "look for damage, and for differences from the migrations",
        "",
        "--quick",
        "--full",
        "--replay",
        "--notices",
        "--models",
    ),
    ("migrate", "plan"): _on_files("print the SQL that would run", "[VERSION]"),
    ("migrate", "rehearse"): _on_files("try the pending migrations on a copy", "[VERSION]", "--in"),
    ("migrate", "create"): _on_files("write the file of a new migration", "NAME", "--from", "--rename"),
    ("migrate", "stamp"): _on_files("record migrations as applied, without running them", "VERSION", "--mode"),
    ("migrate", "adopt"): _on_files("take over from another migration program", "RUNNER", "--from-table"),
    ("migrate", "log"): _on_files("list what ran, and when"),
    ("migrate", "backup"): _on_files("copy the database while it is in use"),
    ("migrate", "restore"): _on_files("put a backup in the place of the database", "FILE", "--mode"),
    ("maintain",): Command(
        "keep the database small",
        "",
        (
            "--retention-days",
            "--max-bytes",
            "--compact-after-days",
            "--no-compact",
            "--forget-sessions",
            "--budget",
            "--vacuum",
            "--renumber",
            "--dry-run",
        ),
    ),
    ("copy",): Command("copy all rows to another database", "SOURCE TARGET", ("--resume", "--verify", "--mode")),
    ("convert",): Command("convert a database of the original TypeScript monitor", "[DATABASE]"),
}


def within(words: Words) -> tuple[str, ...]:
    """Return the names of the commands that may follow some words."""
    return tuple(each[-1] for each in COMMANDS if each[:-1] == words and each)
