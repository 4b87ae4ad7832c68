"""The command line's grammar."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any, NoReturn

from usage_store.cli.output import shown
from usage_store.engines.interface.paths_and_urls import checked_mode, redact
from usage_store.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EPILOG = """\
exit codes:
  0  fine                          5  database newer than these migrations
  1  pending (check)               6  locked by another process
  2  usage or configuration        7  a migration failed and was rolled back
  3  history problem               8  database unreadable
  4  schema not as migrated       70  an error that nobody foresaw
                                130  Ctrl-C
"""
DATABASE_HELP = "default: $USAGE_STORE_DATABASE, else usage.db"
_DEFAULTS = {
    "database": None,
    "directory": None,
    "table": None,
    "wait": 30.0,
    "json": False,
    "backup": True,
    "mode": None,
    "verbose": False,
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; exits with 2 and one line for what it does not understand."""
    arguments = _parser(argv).parse_args(argv)
    for name, value in _DEFAULTS.items():
        if name not in arguments:
            setattr(arguments, name, value)
    return arguments


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # Given a width, argparse does without shutil and the compression modules behind it.
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 80
        super().__init__(prog, width=columns - 2)


class Parser(argparse.ArgumentParser):
    """A command line's parser whose errors show no password."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line."""
        super().error(shown(redact(message)))  # a URL may stand where a command should


class _Parser(Parser):
    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, argument_default=argparse.SUPPRESS, **options)


def _parser(argv: Sequence[str]) -> _Parser:
    parser = _Parser(
        prog="python -m usage_store.migrate",
        description="Run pending migrations, or one of the commands below.",
        epilog=_EPILOG,
        parents=[_common()],
    )
    _no_backup(parser)
    _mode_option(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    # Only those that are named, unless none is: to build them all takes a third of `check`.
    for name in [name for name in _COMMANDS if name in argv] or _COMMANDS:
        help_, add_arguments = _COMMANDS[name]
        command = commands.add_parser(name, help=help_, description=help_, parents=[_common()])
        add_arguments(command)
    return parser


def _common() -> _Parser:
    # Without defaults, and anew for each parser: a command's default would override what stood before the command.
    common = _Parser(add_help=False)
    common.add_argument("--database", metavar="PATH|URL|MODULE:NAME", help=DATABASE_HELP)
    common.add_argument("--directory", metavar="DIR", help="default: the usage tables' own migrations")
    common.add_argument("--table", metavar="NAME", help="the history table; default: found by itself")
    common.add_argument("--wait", type=seconds, metavar="SECONDS", help="for another process's lock; default: 30")
    common.add_argument("--json", action="store_true", help="print JSON, for programs")
    common.add_argument("--verbose", action="store_true", help="every SQL statement, and tracebacks")
    return common


def seconds(text: str) -> float:
    """Read how long to wait, in seconds, as an option's value."""
    seconds = float(text)
    if not 0 <= seconds < 10**6:  # what SQLite's busy_timeout takes, in milliseconds
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000000")
    return seconds


def _nothing(_: _Parser) -> None:
    pass


def _no_backup(parser: _Parser) -> None:
    help_ = "do not copy the database before a step that may lose rows"
    parser.add_argument("--no-backup", dest="backup", action="store_false", default=argparse.SUPPRESS, help=help_)


def _mode_option(parser: _Parser) -> None:
    help_ = "the permissions of a database that is made now, such as 600"
    parser.add_argument("--mode", type=_mode, metavar="OCTAL", default=argparse.SUPPRESS, help=help_)


def _mode(text: str) -> int:
    try:
        mode = checked_mode(int(text, 8))
    except (ValueError, InvalidValue):
        mode = None
    if mode is None:
        raise argparse.ArgumentTypeError(f"{text} is not from 600 to 777, with reading and writing for the owner")
    return mode


def _status(parser: _Parser) -> None:
    parser.add_argument("--check", action="store_true", default=False, help="exit 1 if anything is pending")
    _notices(parser)


def _notices(parser: _Parser) -> None:
    help_ = "ask the applied migrations that define notices(db), too, which runs their Python"
    parser.add_argument("--notices", action="store_true", default=False, help=help_)


def _target(parser: _Parser) -> None:
    parser.add_argument("target", type=int, nargs="?", default=None, metavar="VERSION")


def _rollback(parser: _Parser) -> None:
    _target(parser)
    _no_backup(parser)
    help_ = "undo a migration whose file is gone by the Python that the database's log kept of it"
    parser.add_argument("--stored-source", action="store_true", default=False, help=help_)


def _validate(parser: _Parser) -> None:
    depth = parser.add_mutually_exclusive_group()
    quick, full = "the default: SQLite's quick_check", "integrity_check: minutes on large files"
    depth.add_argument("--quick", dest="full", action="store_false", default=False, help=quick)
    depth.add_argument("--full", action="store_true", default=False, help=full)
    replay = "run the applied migrations on an empty copy, compare with what they make, and record that in the log"
    parser.add_argument("--replay", action="store_true", default=False, help=replay)
    _notices(parser)


def _create(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--from", dest="models", metavar="MODULE[:NAME]", default=None, help="Peewee models to match")
    rename = "a table, or TABLE.OLD:NEW a column; with --from, as often as needed"
    parser.add_argument("--rename", type=_renamed, action="append", metavar="OLD:NEW", default=[], help=rename)


def _renamed(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition(":")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text} is not OLD:NEW or TABLE.OLD:NEW")
    return old, new


def _stamp(parser: _Parser) -> None:
    _mode_option(parser)
    parser.add_argument("target", type=int, metavar="VERSION")


def _adopt(parser: _Parser) -> None:
    parser.add_argument("source", choices=("playhouse", "peewee_migrate"))
    parser.add_argument("--from-table", default=None, metavar="NAME", help="its history table, if not the default one")


def _restore(parser: _Parser) -> None:
    _mode_option(parser)
    parser.add_argument("file", metavar="FILE")


_COMMANDS: dict[str, tuple[str, Callable[[_Parser], None]]] = {
    "status": ("what is applied and what is pending; changes nothing", _status),
    "check": ("nothing but an exit code, for the start of every process; changes nothing", _nothing),
    "rollback": ("undo the newest migration, or all above a version", _rollback),
    "validate": ("check integrity, foreign keys, history and schema; changes nothing", _validate),
    "plan": ("the SQL that would run, up or down to a version: runs the migrations' Python on an empty copy", _target),
    "rehearse": ("run what is pending, its Python too, on a copy, up and down; changes nothing itself", _target),
    "create": ("write a migration with the next number: empty, or from the models (--from)", _create),
    "stamp": ("record migrations up to a version as applied, without running them", _stamp),
    "adopt": ("take over the history of another runner, without running anything", _adopt),
    "log": ("what ran, when, how long and from which source; changes nothing", _nothing),
    "backup": ("copy the database to a file beside it, also while it is in use", _nothing),
    "restore": ("put a backup in the database's place, and keep what was there", _restore),
}
