"""The command line: parse, call, print, exit."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import peewee

from usage_store.connection import redact
from usage_store.errors import DatabaseUnreadable, UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
exit codes:
  0  fine                          5  database newer than these migrations
  1  pending (check)               6  locked by another process
  2  usage or configuration        7  a migration failed and was rolled back
  3  history problem               8  database unreadable
  4  schema not as migrated
"""
_INTERRUPTED = 130
_DEFAULTS = {
    "database": None,
    "directory": None,
    "table": "schema_migrations",
    "wait": 30.0,
    "json": False,
    "backup": True,
    "verbose": False,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; what went wrong is one line on stderr."""
    arguments = _parser().parse_args(argv)
    for name, value in _DEFAULTS.items():
        if name not in arguments:
            setattr(arguments, name, value)
    if arguments.verbose:
        _log_everything()
    try:
        from usage_store.migrate import commands

        outcome = commands.COMMANDS[arguments.command or "migrate"](arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (UsageStoreError, peewee.PeeweeException, OSError) as error:
        return _fail(error, arguments)
    if arguments.json:
        print(json.dumps(outcome.data, indent=2, default=str))
    else:
        print("\n".join(outcome.lines), end="\n" if outcome.lines else "")
    return outcome.code


def _fail(error: Exception, arguments: argparse.Namespace) -> int:
    code = error.exit_code if isinstance(error, UsageStoreError) else DatabaseUnreadable.exit_code
    message = redact(" ".join(str(error).split()))
    if arguments.verbose:
        import traceback

        traceback.print_exception(error)
    if arguments.json:
        applied = [str(step.migration) for step in getattr(error, "applied", ())]
        print(json.dumps({"error": type(error).__name__, "message": message, "exit_code": code, "applied": applied}))
    print(f"error: {message}", file=sys.stderr)
    diff = getattr(error, "diff", "")
    if diff:
        print(diff, file=sys.stderr)
    return code


def _log_everything() -> None:
    import logging

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("peewee").setLevel(logging.DEBUG)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(redact(message))  # a URL may stand where a command should


def _common() -> _Parser:
    # Without defaults, and anew for each parser: a command's default would override what stood before the command.
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--database", metavar="PATH|URL", help="default: $USAGE_STORE_DATABASE, else usage.db")
    common.add_argument("--directory", type=Path, metavar="DIR", help="default: the usage tables' own migrations")
    common.add_argument("--table", metavar="NAME", help="the history table; default: schema_migrations")
    common.add_argument("--wait", type=_seconds, metavar="SECONDS", help="for another process's lock; default: 30")
    common.add_argument("--json", action="store_true", help="print JSON, for programs")
    common.add_argument("--verbose", action="store_true", help="every SQL statement, and tracebacks")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m usage_store.migrate",
        description="Run pending migrations, or one of the commands below.",
        epilog=_EPILOG,
        parents=[_common()],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    _add_no_backup(parser)
    commands = parser.add_subparsers(title="commands", metavar="", dest="command")

    def add(name: str, help_: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help_, description=help_, parents=[_common()], argument_default=argparse.SUPPRESS
        )

    status = add("status", "what is applied and what is pending; changes nothing")
    status.add_argument("--check", action="store_true", default=False, help="exit 1 if anything is pending")
    add("check", "nothing but an exit code, for the start of every process; changes nothing")
    rollback = add("rollback", "undo the newest migration, or all above a version")
    rollback.add_argument("target", type=int, nargs="?", default=None, metavar="VERSION")
    _add_no_backup(rollback)
    validate = add("validate", "check integrity, foreign keys, history and schema; changes nothing")
    depth = validate.add_mutually_exclusive_group()
    depth.add_argument(
        "--quick", dest="full", action="store_false", default=False, help="the default: SQLite's quick_check"
    )
    depth.add_argument("--full", action="store_true", default=False, help="integrity_check: minutes on large files")
    plan = add("plan", "the SQL that would run, up or down to a version; changes nothing")
    plan.add_argument("target", type=int, nargs="?", default=None, metavar="VERSION")
    create = add("create", "write a migration with the next number: empty, or from the models (--from)")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--from", dest="models", metavar="MODULE[:NAME]", default=None, help="Peewee models to match")
    rename = "a table, or TABLE.OLD:NEW a column; with --from, as often as needed"
    create.add_argument("--rename", type=_rename, action="append", metavar="OLD:NEW", default=[], help=rename)
    stamp = add("stamp", "record migrations up to a version as applied, without running them")
    stamp.add_argument("target", type=int, metavar="VERSION")
    adopt = add("adopt", "take over the history of another runner, without running anything")
    adopt.add_argument("source", choices=("playhouse", "peewee_migrate"))
    adopt.add_argument("--from-table", default=None, metavar="NAME", help="its history table, if not the default one")
    add("log", "what ran, when, how long and from which source; changes nothing")
    rehearse = add("rehearse", "run what is pending on a copy, up and down; changes nothing")
    rehearse.add_argument("target", type=int, nargs="?", default=None, metavar="VERSION")
    add("backup", "copy the database to a file beside it, also while it is in use")
    restore = add("restore", "put a backup in the database's place, and keep what was there")
    restore.add_argument("file", type=Path, metavar="FILE")
    return parser


def _add_no_backup(parser: argparse.ArgumentParser) -> None:
    help_ = "do not copy the database before a step that may lose rows"
    parser.add_argument("--no-backup", dest="backup", action="store_false", default=argparse.SUPPRESS, help=help_)


def _rename(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition(":")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text} is not OLD:NEW or TABLE.OLD:NEW")
    return old, new


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 10**6:  # what SQLite's busy_timeout takes, in milliseconds
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
