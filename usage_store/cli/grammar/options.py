"""Every option and argument of every command, with the function that reads its value, and its help."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.paths_and_urls import checked_mode
from usage_store.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_VERSION = "the number at the start of a migration's file name; 0 is before the first"


def version(text: str) -> int:
    """Read the number of a migration."""
    if not re.fullmatch("-?[0-9]{1,100}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; VERSION is {_VERSION}")
    return int(text)


def seconds(text: str) -> float:
    """Read how many seconds to wait."""
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait < 10**6:  # SQLite's busy_timeout holds no more milliseconds
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 1000000")
    return wait


def _number(unit: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}") from None

    return read


def size(text: str) -> int:
    """Read a number of bytes, such as 500M."""
    found = re.fullmatch(r"([0-9]{1,30})([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes such as 500M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def path(text: str) -> str:
    """Read the path of a file or folder; `~` at its start is the home folder, as in a shell."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text is not a path")
    return os.path.expanduser(text)


def _mode(text: str) -> int:
    try:
        mode = checked_mode(int(text, 8))
    except (ValueError, InvalidValue):
        mode = None
    if mode is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 600 to 777, with reading and writing for the owner")
    return mode


def _renamed(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition(":")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD:NEW or TABLE.OLD:NEW")
    return old, new


# The arguments for argparse's add_argument. An option with an `action` other than `append` has no value. With `nargs`
# "?", the value may be left out.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--database": {
        "metavar": "PATH|URL|MODULE:NAME",
        "help": "the database: a path, a sqlite:/// or postgresql:// URL, or MODULE:NAME for a Peewee database in your "
        "own code, which is imported; default: $USAGE_STORE_DATABASE, else the setting `database`, else usage.db in "
        "the current folder",
    },
    "--wait": {
        "type": seconds,
        "default": 30.0,
        "metavar": "SECONDS",
        "help": "how long to wait for a lock that another process holds; default: 30",
    },
    "--json": {"action": "store_true", "help": "print JSON on stdout, also for an error"},
    "--verbose": {
        "action": "store_true",
        "help": "show on stderr each SQL statement that runs, and the traceback of an error",
    },
    "--directory": {
        "type": path,
        "metavar": "DIR",
        "help": "the folder of the migration files; default: the setting `directory`, else the migrations of the usage "
        "tables, which are part of this package",
    },
    "--table": {
        "metavar": "NAME",
        "help": "the name of the history table; default: the setting `table` if DIR is the setting `directory`, else "
        "the table in which the migrations of DIR are recorded already, else a name made from DIR",
    },
    "--usage-tables": {
        "action": "store_true",
        "help": "use the migrations of the usage tables, also if the settings name a folder, and also in a database "
        "that holds only tables of other programs",
    },
    "--no-backup": {
        "dest": "backup",
        "action": "store_false",
        "help": "do not copy the database first; without this option, an SQLite database with rows is copied before a "
        "migration that says that it deletes something, and before each rollback",
    },
    "--mode": {
        "type": _mode,
        "metavar": "OCTAL",
        "help": "the permissions of the database file if this command creates it, such as 600",
    },
    "--check": {"action": "store_true", "help": "exit with 1 if a migration is pending"},
    "--notices": {
        "action": "store_true",
        "help": "also run the function notices(db) of each applied migration that has one, and show its lines",
    },
    "--stored-source": {
        "action": "store_true",
        "help": "if the file of a migration is gone, run the Python source that the database's log kept of it; use "
        "this only if you trust everybody who can write to the database",
    },
    "--quick": {
        "dest": "full",
        "action": "store_false",
        "default": False,
        "help": "do a short check: SQLite's quick_check, and none of a server's files; this is the default",
    },
    "--full": {
        "dest": "full",
        "action": "store_true",
        "help": "check the file with SQLite's integrity_check, or the tables with the server's amcheck, and read every "
        "snapshot, which takes minutes on a large database",
    },
    "--replay": {
        "action": "store_true",
        "help": "run the applied migrations again on an empty copy, compare the schema with what they make there, and "
        "record that schema in the database's log",
    },
    "--models": {
        "dest": "models",
        "nargs": "?",
        "const": "",
        "metavar": "MODULE[:NAME]",
        "help": "also compare the tables of the database with the Peewee models in MODULE, which is imported; NAME is "
        "one model, or a list of models; default: the setting `models`",
    },
    "--from": {
        "dest": "models",
        "nargs": "?",
        "const": "",
        "metavar": "MODULE[:NAME]",
        "help": "write what changes the tables of the database into those of the Peewee models in MODULE, which is "
        "imported; NAME is one model, or a list of models; default: the setting `models`",
    },
    "--rename": {
        "type": _renamed,
        "action": "append",
        "default": [],
        "metavar": "OLD:NEW",
        "help": "with --from: table OLD is called NEW now; TABLE.OLD:NEW means a column; may be given several times",
    },
    "--from-table": {
        "metavar": "NAME",
        "help": "the table in which the other program recorded its migrations; default: its usual name",
    },
    "--retention-days": {
        "type": _number("days"),
        "metavar": "DAYS",
        "help": "delete snapshots that are older; default: delete none for their age",
    },
    "--max-bytes": {
        "type": size,
        "metavar": "N[K|M|G]",
        "help": "delete the oldest snapshots while the database takes more bytes; default: no limit",
    },
    "--compact-after-days": {
        "type": _number("days"),
        "default": 7.0,
        "metavar": "DAYS",
        "help": "compress snapshots that are older; default: 7",
    },
    "--no-compact": {"action": "store_true", "help": "compress nothing"},
    "--forget-sessions": {
        "type": _number("days"),
        "metavar": "DAYS",
        "help": "delete sessions that are older and have no snapshots and no events; default: delete none",
    },
    "--budget": {
        "type": _number("seconds"),
        "metavar": "SECONDS",
        "help": "stop after this time; the next run continues; default: no limit",
    },
    "--vacuum": {
        "action": "store_true",
        "help": "vacuum the file, once, if it was not created by this package: after that it shrinks by itself; all "
        "other connections wait while the file is rewritten",
    },
    "--renumber": {
        "action": "store_true",
        "help": "renumber the blocks, once, if version 2 made them: after that no other database has the same numbers",
    },
    "--resume": {"action": "store_true", "help": "go on with a copy of the same source that was stopped"},
    "--in": {
        "dest": "copy",
        "metavar": "DATABASE",
        "help": "PostgreSQL: a copy of the database that you have made by pg_dump; the migrations run and stay there",
    },
    "--verify": {"action": "store_true", "help": "copy nothing, and only compare the two databases"},
    "--dry-run": {"action": "store_true", "help": "change nothing, and print what would be done"},
}
COMMON = ("--database", "--wait", "--json", "--verbose")
MIGRATION_FILES = ("--directory", "--table", "--usage-tables")

# The arguments without a name of their own, by the name that usage lines show; in brackets, it may be left out.
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "VERSION": {"dest": "target", "type": version, "metavar": "VERSION", "help": _VERSION},
    "[VERSION]": {"dest": "target", "nargs": "?", "type": version, "metavar": "VERSION", "help": _VERSION},
    "NAME": {"dest": "name", "metavar": "NAME", "help": "a few words on what the migration does, such as 'add users'"},
    "RUNNER": {
        "dest": "source",
        "metavar": "RUNNER",
        "choices": ("playhouse", "peewee_migrate"),
        "help": "the program that applied the migrations: playhouse (for playhouse.migrations) or peewee_migrate",
    },
    "FILE": {"dest": "file", "type": path, "metavar": "FILE", "help": "the backup file to restore"},
    "SOURCE": {"dest": "source", "metavar": "SOURCE", "help": "the database to read, as with --database"},
    "TARGET": {
        "dest": "target",
        "metavar": "TARGET",
        "help": "the database to write, as with --database: an empty one, or a file that does not exist yet",
    },
    "[DATABASE]": {
        "dest": "argument",
        "nargs": "?",
        "metavar": "DATABASE",
        "help": "the database, as with --database",
    },
}


def takes_a_value(option: str) -> bool:
    """Return whether the word after an option is its value, or may be."""
    return option in OPTIONS and OPTIONS[option].get("action") in (None, "append")


def may_have_no_value(option: str) -> bool:
    """Return whether the value of an option may be left out."""
    return option in OPTIONS and OPTIONS[option].get("nargs") == "?"
