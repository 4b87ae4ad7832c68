"""What differs between the engines: the one table of it, with the reason. The marker `only_on` names a line of it.

Each line says what an SQLite file does, and what a PostgreSQL server does. The page docs/postgresql.md has the same
table, and `tests/docs/test_differences.py` compares them.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One thing that is not the same on both engines."""

    sqlite: str
    postgresql: str


DIFFERENCES = {
    "files": Difference("a database is a file with a path and permissions", "a database is a schema on a server"),
    "classes of databases": Difference(
        "`SqliteDatabase` and its kind", "`PostgresqlDatabase` and its kind, with psycopg 3 or psycopg2"
    ),
    "a commit": Difference(
        "does not wait for the disk", "waits for the disk, unless `synchronous_commit` is off on the server"
    ),
    "writers": Difference("one writer at a time, others wait", "writers wait only for each other's rows"),
    "locks": Difference("one lock for the whole file", "a lock for each row and each table"),
    "settings of a connection": Difference(
        "pragmas", "settings of the session, which a transaction can have for itself"
    ),
    "names of tables": Difference("in any case of letters", "exact"),
    "types of columns": Difference(
        "a column takes values of any type, and a wrong one is named with its row",
        "a column has one type, and a history or log with other types is refused as a whole",
    ),
    "kinds of tables": Difference("virtual tables too", "partitioned, inherited and foreign tables too"),
    "rebuilt tables": Difference("Peewee makes a table anew to change a column", "the server changes the column"),
    "broken views": Difference("a table of a view can be dropped", "the server refuses to drop it"),
    "foreign keys": Difference("a connection can switch them off", "they always hold"),
    "broken rows": Difference("a connection can switch off the CHECKs", "the CHECKs always hold"),
    "texts that are not UTF-8": Difference("another program can store them", "the server refuses them"),
    "texts that are no JSON": Difference("another program can store them", "the server refuses them"),
    "session ids": Difference("of any length", "of at most 1,000 bytes"),
    "assigned values": Difference(
        "a value of another type is refused", "10.5 becomes 10 in a column of integers, as everywhere on the server"
    ),
    "SQL of a host": Difference("SQLite's functions and triggers, `?`", "the server's own, `%s`, and `%%` for a %"),
    "words of an error": Difference("SQLite's", "the server's, with its sqlstate"),
    "the last event of a session is deleted": Difference(
        "the session goes at once", "the session goes at COMMIT, or with the next `maintain` if others use it then"
    ),
    "migrations of the usage tables": Difference("make blocks of compacted rows", "make notes of sessions that ended"),
    "version 2 of the usage tables": Difference("`events` is followed", "`events` is followed from version 3 on"),
    "compaction": Difference("old snapshots are compacted into blocks", "the server compresses each text"),
    "sizes of sessions": Difference("bytes of plain texts and of blocks", "bytes of the texts as compressed"),
    "`max_bytes`": Difference("bytes of the pages in use", "bytes of the rows that are there, not of the files"),
    "`maintain --vacuum`": Difference("makes the file small", "runs VACUUM: deleted space is used again"),
    "steps of maintenance": Difference(
        "compacts, prunes, evicts, shrinks", "removes sessions that ended, prunes, evicts"
    ),
    "stored SQL of a schema": Difference(
        "as somebody wrote it, and it can be rewritten", "as the server writes it from its catalogs"
    ),
    "a migration that waits for a lock": Difference(
        "waits", "gives up after a second, and runs again from its start, until `--wait` is over"
    ),
    "backups": Difference(
        "a file beside the database, also by itself before a rollback", "none; a line names `pg_dump`, exit code 2"
    ),
    "rehearsals": Difference(
        "on a copy of the file", "in the database, in a transaction that is rolled back, or in your own copy (`--in`)"
    ),
}
