"""The command lines of the usage tables: `python -m usage_store.maintain` and `python -m usage_store.convert`."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from usage_store.cli.open_for_command import database_of
from usage_store.cli.options import DATABASE_HELP, Parser, seconds
from usage_store.cli.progress import Progress
from usage_store.cli.run_command import Outcome, run
from usage_store.convert import convert_original
from usage_store.run_maintenance import Maintained, maintain

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_LEFT = 1
_EPILOG = """\
exit codes: 0 done; 1 something is left, because of --budget or for a reason that is said; 2 usage; 6 locked by another
process; 8 the database is missing, corrupt, read-only, full or no database; 70 an error that nobody foresaw;
130 Ctrl-C"""
_CONVERT_EPILOG = """\
exit codes: 0 done, or nothing to convert; 2 usage, or no database of the original monitor; 4 a row breaks a rule;
6 locked by another process; 8 the database is missing, corrupt, read-only, full or no database; 70 an error that nobody
foresaw; 130 Ctrl-C"""


def maintain_main(argv: Sequence[str] | None = None) -> int:
    """Maintain one database and give the exit code; what went wrong is one line on stderr."""
    return run(lambda: _maintain_parser().parse_args(argv), _maintain)


def convert_main(argv: Sequence[str] | None = None) -> int:
    """Convert one database; give the exit code of `python -m usage_store.migrate`."""
    return run(lambda: _convert_parser().parse_args(argv), _convert, after_error="; nothing was changed")


def _maintain(arguments: argparse.Namespace) -> Outcome:
    with database_of(arguments, readonly=arguments.dry_run, missing="refuse") as database:
        done = maintain(
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


def _maintain_parser() -> argparse.ArgumentParser:
    description = "Delete old snapshots, make older ones small, and give the pages back to the disk."
    parser = Parser(
        prog="python -m usage_store.maintain",
        description=description,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", metavar="PATH|URL|MODULE:NAME", help=DATABASE_HELP)
    parser.add_argument("--retention-days", type=float, metavar="DAYS", help="delete older snapshots; default: keep")
    parser.add_argument("--max-bytes", type=_bytes, metavar="N[K|M|G]", help="delete the oldest beyond; default: keep")
    parser.add_argument("--compact-after-days", type=float, default=7, metavar="DAYS", help="default: 7")
    parser.add_argument("--no-compact", action="store_true", help="leave every snapshot plain")
    forget = "delete sessions so old that have no snapshots and no events; default: keep"
    parser.add_argument("--forget-sessions", type=float, metavar="DAYS", help=forget)
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="stop after so long; the next run goes on")
    parser.add_argument("--vacuum", action="store_true", help="once, for a file that cannot shrink: rewrite it, locked")
    parser.add_argument("--renumber", action="store_true", help="once, after version 2: number its blocks anew")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--wait", type=seconds, default=30, metavar="SECONDS", help="for another's lock; default: 30")
    _common(parser)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--verbose", action="store_true", help="every SQL statement, and tracebacks")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not a number of bytes such as 500M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def _convert(arguments: argparse.Namespace) -> Outcome:
    with database_of(arguments, missing="refuse") as database:
        converted = convert_original(database)
    if converted is None:
        return Outcome(0, ["nothing to convert"], None)
    line = (
        f"kept {converted.configurations} configurations and {converted.snapshots} snapshots, "
        f"of {converted.sessions} sessions"
    )
    return Outcome(0, [line], asdict(converted))


def _convert_parser() -> argparse.ArgumentParser:
    description = "Bring a database that the original TypeScript monitor made to this schema, or leave it as it is."
    parser = Parser(
        prog="python -m usage_store.convert",
        description=description,
        epilog=_CONVERT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("database", nargs="?", metavar="PATH|URL|MODULE:NAME", help=DATABASE_HELP)
    parser.set_defaults(wait=5)
    _common(parser)
    return parser
