"""The command line: parse, call, print, exit."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.connection import default_target, open_database, redact
from usage_store.errors import ConfigurationError, DatabaseUnreadable, UsageStoreError
from usage_store.migrate import MigrationRunner, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from usage_store.migrate import Migration, MigrationStatus, Step

_EPILOG = """\
exit codes:
  0  fine                          5  database newer than these migrations
  1  pending (status --check)      6  locked by another process
  2  usage or configuration        7  a migration failed and was rolled back
  3  history problem               8  database unreadable
  4  schema not as migrated
"""
_PENDING = 1
_INTERRUPTED = 130
_MILLISECONDS = 10**11  # an applied_at from here up was written in milliseconds by another program


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; what went wrong is one line on stderr."""
    arguments = _parser().parse_args(argv)
    if arguments.verbose:
        logging.basicConfig(format="%(message)s", level=logging.INFO)
        logging.getLogger("peewee").setLevel(logging.DEBUG)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (UsageStoreError, peewee.PeeweeException, OSError) as error:
        if arguments.verbose:
            traceback.print_exc()
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return error.exit_code if isinstance(error, UsageStoreError) else DatabaseUnreadable.exit_code
    return code


def _one_line(error: BaseException) -> str:
    return redact(" ".join(str(error).split()))


def _common() -> argparse.ArgumentParser:
    # Suppressed, and anew for each parser: a command's default would override what stood before the command.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--database", metavar="PATH|URL", help="default: $USAGE_STORE_DATABASE, else usage.db")
    common.add_argument("--directory", type=Path, metavar="DIR", help="default: the usage tables' own migrations")
    common.add_argument("--table", metavar="NAME", help="the history table; default: schema_migrations")
    common.add_argument("--wait", type=_seconds, metavar="SECONDS", help="for another process's lock; default: 30")
    common.add_argument("--verbose", action="store_true", help="every SQL statement, and tracebacks")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m usage_store.migrate",
        description="Run pending migrations, or one of the commands below.",
        epilog=_EPILOG,
        parents=[_common()],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_migrate, database=None, directory=None, table="schema_migrations", wait=30.0)
    parser.set_defaults(verbose=False)
    commands = parser.add_subparsers(title="commands", metavar="")
    for name, run, help_ in (
        ("status", _status, "what is applied and what is pending; changes nothing"),
        ("rollback", _rollback, "undo the newest migration, or all above a version"),
        ("validate", _validate, "check integrity, foreign keys, history and schema; changes nothing"),
        ("plan", _plan, "the SQL that would run, up or down to a version; changes nothing"),
        ("create", _create, "write an empty migration with the next number"),
    ):
        command = commands.add_parser(name, help=help_, description=help_, parents=[_common()])
        command.set_defaults(run=run)
        if name == "status":
            command.add_argument("--json", action="store_true", help="for programs")
            command.add_argument("--check", action="store_true", help="exit 1 if anything is pending")
        elif name in ("rollback", "plan"):
            command.add_argument("target", type=int, nargs="?", metavar="VERSION")
        elif name == "validate":
            command.add_argument("--full", action="store_true", help="every page of the file: minutes on large ones")
        elif name == "create":
            command.add_argument("name", metavar="NAME")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 10**6:  # what SQLite's busy_timeout takes, in milliseconds
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000")
    return seconds


@contextmanager
def _runner(arguments: argparse.Namespace, *, readonly: bool = False, empty: bool = False) -> Iterator[MigrationRunner]:
    """Open the database; with `empty`, a missing file is an empty database."""
    target = default_target() if arguments.database is None else arguments.database
    if empty and "://" not in target and not Path(target).exists():
        target, readonly = ":memory:", False
    database = open_database(target, readonly=readonly, timeout=arguments.wait)
    try:
        yield MigrationRunner(database, arguments.directory, arguments.table, wait=arguments.wait, on_wait=_say)
    finally:
        database.close()


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _migrate(arguments: argparse.Namespace) -> int:
    with _runner(arguments) as runner:
        if not runner.migrate(on_step=_print_step):
            print(f"nothing to migrate: at version {runner.status().current_version}")
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    with _existing(arguments) as runner:
        if not runner.rollback(arguments.target, on_step=_print_step):
            print(f"nothing to roll back: at version {runner.status().current_version}")
    return 0


@contextmanager
def _existing(arguments: argparse.Namespace) -> Iterator[MigrationRunner]:
    with _runner(arguments, readonly=True):
        pass  # raises for a missing file, which opening to write would create
    with _runner(arguments) as runner:
        yield runner


def _print_step(step: Step) -> None:
    verb = "applied" if step.direction == "up" else "rolled back"
    print(f"{verb} {step.migration} ({step.seconds * 1000:.1f} ms)", flush=True)


def _status(arguments: argparse.Namespace) -> int:
    with _runner(arguments, readonly=True, empty=True) as runner:
        status = runner.status()
    if arguments.json:
        print(json.dumps(_as_json(status), indent=2))
    else:
        _print_status(status)
    if status.problems:
        return max(problem.exit_code for problem in status.problems)
    return _PENDING if arguments.check and status.pending_count else 0


def _print_status(status: MigrationStatus) -> None:
    print(f"version {status.current_version} of {status.latest_version}, {status.pending_count} pending")
    width = max(len(str(migration)) for migration in (*status.applied_migrations, *status.pending_migrations))
    for migration in status.applied_migrations:
        print(f"  {migration!s:{width}}  applied {_when(migration)}")
    for migration in status.pending_migrations:
        print(f"  {migration!s:{width}}  pending")
    for notice in status.notices:
        print(f"notice: {notice}")
    for problem in status.problems:
        print(f"problem: {problem}")


def _when(migration: Migration) -> str:
    seconds = migration.applied_at or 0
    if seconds >= _MILLISECONDS:
        seconds //= 1000
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _as_json(status: MigrationStatus) -> dict[str, Any]:
    return {
        "current_version": status.current_version,
        "latest_version": status.latest_version,
        "pending_count": status.pending_count,
        "applied": [
            {"version": migration.version, "name": migration.name, "applied_at": migration.applied_at}
            for migration in status.applied_migrations
        ],
        "pending": [{"version": migration.version, "name": migration.name} for migration in status.pending_migrations],
        "problems": [{"error": type(problem).__name__, "message": str(problem)} for problem in status.problems],
        "notices": list(status.notices),
    }


def _validate(arguments: argparse.Namespace) -> int:
    with _runner(arguments, readonly=True) as runner:
        report = runner.validate(full=arguments.full)
    for notice in report.notices:
        print(f"notice: {notice}")
    for problem in report.problems:
        print(f"problem: {_one_line(problem)}")
    if report.ok:
        print("valid")
    return max((problem.exit_code for problem in report.problems), default=0)


def _plan(arguments: argparse.Namespace) -> int:
    with _runner(arguments, readonly=True, empty=True) as runner:
        plan = runner.plan(arguments.target)
    for planned in plan:
        print(f"-- {planned.direction} {planned.migration}")
        for statement in planned.statements:
            print(f"{statement};")
    if not plan:
        print("-- nothing to do")
    return 0


def _create(arguments: argparse.Namespace) -> int:
    if arguments.directory is None:
        raise ConfigurationError("create needs --directory, where your migrations live: --directory migrations")
    print(registry.create(arguments.directory, arguments.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
