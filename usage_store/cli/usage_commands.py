"""The commands on the usage tables: `maintain` and `convert`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from usage_store import run_maintenance
from usage_store.cli.open_for_command import database_of, file_named
from usage_store.cli.progress import Progress
from usage_store.cli.run_command import Outcome
from usage_store.convert import convert_original
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

    from usage_store.run_maintenance import Maintained

_LEFT = 1


def maintain(arguments: argparse.Namespace) -> Outcome:
    """Prune, compact and evict snapshots. The exit code is 1 if something is left to do."""
    readonly = arguments.dry_run
    with database_of(arguments, readonly=readonly, missing="refuse") as database, file_named(arguments):
        done = run_maintenance.maintain(
            database,
            retention_days=arguments.retention_days,
            max_bytes=arguments.max_bytes,
            compact_after_days=None if arguments.no_compact else arguments.compact_after_days,
            forget_sessions_after_days=arguments.forget_sessions,
            budget=arguments.budget,
            dry_run=arguments.dry_run,
            rewrite=arguments.vacuum,
            renumber=arguments.renumber,
            on_progress=Progress(),
        )
    code = _LEFT if done.left and not arguments.dry_run else 0
    return Outcome(code, _lines(done, dry=arguments.dry_run), done._asdict())


def _lines(done: Maintained, *, dry: bool) -> list[str]:
    if dry:
        return [
            f"would prune {done.pruned:,}, compact {done.compacted:,}, evict {done.evicted:,} snapshots",
            *([f"would forget {done.forgotten:,} sessions"] if done.forgotten else []),
            f"{done.bytes_before:,} bytes now, about {done.bytes_after:,} afterwards",
        ]
    took = f"in {done.seconds:.1f} s, longest lock {done.longest_lock * 1000:.0f} ms"
    return [
        f"pruned {done.pruned:,}, compacted {done.compacted:,}, evicted {done.evicted:,} snapshots {took}",
        *([f"forgot {done.forgotten:,} sessions"] if done.forgotten else []),
        f"{done.bytes_before:,} bytes before, {done.bytes_after:,} after",
        *(f"left: {line}" for line in done.left),
    ]


def convert(arguments: argparse.Namespace) -> Outcome:
    """Convert a database of the original monitor. The database is that of --database, or the argument."""
    if arguments.argument is not None:
        if arguments.database not in (None, arguments.argument):
            raise ConfigurationError("two databases are given: DATABASE and --database; give one of them")
        arguments.database = arguments.argument
    try:
        with database_of(arguments, missing="refuse") as database, file_named(arguments):
            converted = convert_original(database, wait=arguments.wait)
    except BaseException as error:
        error.add_note("nothing was changed")
        raise
    if converted is None:
        return Outcome(0, ["nothing to convert"], None)
    line = (
        f"kept {converted.configurations} configurations and {converted.snapshots} snapshots, "
        f"of {converted.sessions} sessions"
    )
    return Outcome(0, [line], asdict(converted))
