"""The commands on the usage tables: `maintain`, `copy` and `convert`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from usage_store import copy_store, run_maintenance
from usage_store.cli.open_for_command import database_of, file_named
from usage_store.cli.progress import Progress
from usage_store.cli.run_command import Outcome
from usage_store.convert import convert_original
from usage_store.errors import ConfigurationError, SchemaDrift

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.run_maintenance import Maintained

_LEFT = 1
_MOST_LINES = 20  # of a kind; --json has all


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


def copy(arguments: argparse.Namespace) -> Outcome:
    """Copy a store to another database. The exit code is 4 if a row does not fit, or the two differ at the end."""
    if arguments.database is not None and "database" not in arguments.settings_used:
        raise ConfigurationError("`copy` takes SOURCE and TARGET, not --database")
    source, target = (_naming(arguments, name) for name in (arguments.source, arguments.target))
    reads = arguments.resume or arguments.verify
    with (
        database_of(source, readonly=True, missing="refuse") as one,
        database_of(
            target, readonly=arguments.verify, missing="refuse" if reads else "create", mode=arguments.mode
        ) as other,
    ):
        done = copy_store.copy_store(
            one,
            other,
            resume=arguments.resume,
            verify=arguments.verify,
            wait=arguments.wait,
            on_progress=Progress(),
        )
    return Outcome(0 if done.ok else SchemaDrift.exit_code, list(_copied_lines(done, arguments)), _copied_data(done))


def _naming(arguments: argparse.Namespace, name: str) -> argparse.Namespace:
    """Return the arguments of a command on one of the two databases."""
    return argparse.Namespace(**{**vars(arguments), "database": name, "settings_used": ()})


def _copied_lines(done: copy_store.Copied, arguments: argparse.Namespace) -> Iterator[str]:
    if done.refused:
        yield f"nothing was copied: the target cannot hold {len(done.refused):,} rows"
        yield from _first(done.refused)
        return
    if not arguments.verify:
        rate = done.copied / done.seconds if done.seconds else 0
        yield f"copied {done.copied:,} snapshots in {done.seconds:.1f} s, {rate:,.0f} a second"
    yield from _first([f"{each.hash}  {each.snapshots:,} snapshots of {each.session_id}" for each in done.sessions])
    counts = f"{done.snapshots:,} snapshots of {len(done.sessions):,} sessions, {done.configurations} configurations"
    if done.differences:
        yield f"different: {counts} in the source"
        yield from _first(done.differences)
        yield (
            "if others wrote to the source meanwhile, `copy --resume` brings what is new; "
            "what was changed or deleted there needs a copy to an empty database"
        )
    else:
        yield f"the same on both sides: {counts}"


def _first(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"  and {len(lines) - _MOST_LINES:,} more; --json lists all"


def _copied_data(done: copy_store.Copied) -> dict[str, Any]:
    sessions = [each._asdict() for each in done.sessions]
    counts = {"configurations": done.configurations, "snapshots": done.snapshots, "copied": done.copied}
    lines = {"refused": list(done.refused), "differences": list(done.differences)}
    return {"ok": done.ok, **counts, "sessions": sessions, **lines, "seconds": done.seconds}


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
