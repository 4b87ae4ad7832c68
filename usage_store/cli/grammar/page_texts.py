"""The texts of the help pages: one page for each command, one table of exit codes, one list of words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_CODES: Mapping[int, str] = {
    0: "done, and nothing is wrong",
    1: "not done yet: a migration is pending, or something is left",
    2: "wrong usage or configuration, or a migration that is refused",
    3: "the recorded history does not fit the migration files",
    4: "the schema or the rows are not as they should be",
    5: "the database is newer than the migration files",
    6: "another process held a lock for longer than --wait",
    7: "a migration failed; it was rolled back",
    8: "the database is missing, corrupt, read-only, full or no database",
    70: "an unforeseen error; --verbose shows its traceback",
    130: "stopped by Ctrl-C (143: by SIGTERM); what was finished before stays",
}
_ALWAYS = (0, 2, 6, 8, 70, 130)


class Page(NamedTuple):
    """What a command does, the options and arguments of its example, and the exit codes that not every command has."""

    text: str
    example: str
    codes: tuple[int, ...] = ()

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """The exit codes that the command can end with, in ascending order."""
        return tuple(sorted((*_ALWAYS, *self.codes)))


# Words of art, and what they mean. A page that uses one of them, in any form, ends with its explanation.
WORDS: Mapping[str, str] = {
    "migration": "a Python file NNN_name.py whose functions `up` and `down` change the tables, forward and back",
    "VERSION": "the number NNN at the start of a migration's file name; 0 is before the first",
    "pending": "not applied to this database yet",
    "history": "the table that records which migrations are applied",
    "log": "a table beside the history, with the time, the duration and the source of everything that ran",
    "notice": "a line about the database that is good to know; it is no error",
    "plan": "the SQL that would run, in its order",
    "rehearse": "run the pending migrations on a copy of the database, forward and back",
    "setting": "a line in the table [tool.usage_store] of the nearest pyproject.toml, in this folder or above it",
    "stamp": "write a migration into the history without running it",
    "adopt": "take over the history of another program, without running anything",
    "backup": "a copy of the whole database in one file, in the same folder, such as usage.db.v3.TIME.backup",
    "prune": "delete snapshots because of their age",
    "evict": "delete the oldest snapshots because the database is too large",
    "compact": "compress many snapshots together into one block; they are read as before",
    "block": "a row that holds many compressed snapshots",
    "vacuum": "write the whole file anew, without unused space; on PostgreSQL, make deleted space usable again",
    "renumber": "give new numbers to blocks",
    "snapshot": "one JSON record of the usage of a session at one time",
    "session": "one run of a coding agent",
}

PAGES: Mapping[tuple[str, ...], Page] = {
    (): Page(
        "Keep usage snapshots of coding agents in SQLite or PostgreSQL, and change tables by migrations.",
        "migrate --database usage.db",
        (1, 3, 4, 5, 7),
    ),
    ("migrate",): Page(
        "Create the database if it is missing, and run its pending migrations, lowest number first. Each migration is "
        "one transaction, unless its file says `atomic = False`. If one fails, it is rolled back, and those before it "
        "stay. Or run one of the commands below.",
        "--database usage.db",
        (1, 3, 4, 5, 7),
    ),
    ("migrate", "status"): Page(
        "Show which migrations are applied, which are pending, and what is wrong with them. Nothing is changed, and no "
        "migration runs.",
        "--check --database usage.db",
        (1, 3, 4, 5),
    ),
    ("migrate", "check"): Page(
        "Exit with 0 if the database is up to date, with 1 if a migration is pending, and with another code if "
        "something is wrong. It is fast enough for the start of every process. Nothing is changed, and no migration "
        "runs.",
        "--database usage.db",
        (1, 3, 4, 5),
    ),
    ("migrate", "rollback"): Page(
        "Undo the newest applied migration, or all above VERSION, newest first, by their function `down`. Each is one "
        "transaction. An SQLite database with rows is copied to a backup first; for PostgreSQL, a line names pg_dump.",
        "2 --database usage.db",
        (3, 4, 5, 7),
    ),
    ("migrate", "validate"): Page(
        "Look for damage in the file, for rows that refer to missing rows, for a history that does not fit the files, "
        "and for tables that differ from what the migrations made. Nothing is changed, except by --replay, which "
        "writes to the log.",
        "--full --database usage.db",
        (3, 4, 5, 7),
    ),
    ("migrate", "plan"): Page(
        "Print the plan: the SQL that `migrate` would run. With a VERSION below the present one, it is the SQL that "
        "`rollback` would run. The database is not changed. To know the SQL, the Python of the migrations runs on an "
        "empty copy.",
        "--database usage.db",
        (3, 4, 5, 7),
    ),
    ("migrate", "rehearse"): Page(
        "Rehearse the pending migrations, all or up to VERSION, and print the time and the disk space that they take, "
        "and whether `down` restores every row. The database is not changed. The Python of the migrations runs on a "
        "copy. On PostgreSQL it runs in the database itself, in a transaction that is rolled back: the tables that it "
        "changes are locked until the end. A migration with `atomic = False` cannot run there, and is left out with "
        "all after it.",
        "--database usage.db",
        (1, 3, 4, 5, 7),
    ),
    ("migrate", "create"): Page(
        "Write a new migration into DIR, with the next number, and print its path. DIR must be given by --directory or "
        "by the setting `directory`, and be a folder of your own. "
        "Without --from the migration is empty, and you write `up` and `down`. With --from it changes the "
        "tables of the database into those of your Peewee models. The database itself is not changed.",
        "'add users' --directory own --from app.models",
        (3, 4, 5),
    ),
    ("migrate", "stamp"): Page(
        "Stamp the migrations up to VERSION: record them as applied without running them, as for tables that exist "
        "already. If VERSION is applied, its file as it is now is recorded as the one that ran. Only the history and "
        "the log are changed.",
        "1 --directory myapp/migrations",
        (3, 4, 5),
    ),
    ("migrate", "adopt"): Page(
        "Adopt the migrations that another program, playhouse.migrations or peewee_migrate, has applied. Nothing runs "
        "again. Only the history and the log of this package are changed.",
        "peewee_migrate --directory myapp/migrations",
        (3, 4, 5),
    ),
    ("migrate", "log"): Page(
        "List from the log what ran: time, up or down or stamp, migration, duration, checksum of its source, and "
        "version of this package. Nothing is changed.",
        "--database usage.db",
        (3,),
    ),
    ("migrate", "backup"): Page(
        "Copy the database to a backup in its folder. Other processes may go on reading and writing. The database is "
        "not changed. For PostgreSQL, the command only names the line of pg_dump.",
        "--database usage.db",
        (3,),
    ),
    ("migrate", "restore"): Page(
        "Replace the content of the database by that of a backup. What was there before is kept in a backup of its "
        "own. Other processes may keep the database open. For PostgreSQL, the command only names the line of "
        "pg_restore.",
        "usage.db.v3.20260102T030405Z.backup",
    ),
    ("maintain",): Page(
        "Keep the database small: prune, compact and evict snapshots as the options say, and give free space back to "
        "the disk. It works in short transactions, so that other processes can write meanwhile. Without options it "
        "only compacts what is older than 7 days.",
        "--retention-days 30 --max-bytes 2G --database usage.db",
        (1,),
    ),
    ("copy",): Page(
        "Copy the usage tables of SOURCE to TARGET, from SQLite to PostgreSQL, back, or within one of them: the "
        "configuration, the sessions, and every snapshot with its id. SOURCE is only read. Other processes may go on "
        "writing to it, and --resume brings what they wrote. At the end both are compared, with a hash for each "
        "session. Rows that TARGET cannot hold are listed before anything is written.",
        "usage.db postgresql://me@server/app",
        (1, 3, 4, 5, 7),
    ),
    ("convert",): Page(
        "Convert a database that the original TypeScript monitor made, in one transaction: its tables become those of "
        "version 1 of this package, with every row and id. A database that is converted already is not changed.",
        "--database monitor.db",
        (3, 4),
    ),
}
