"""What differs between the engines: the one table of it, with the reason. The marker `only_on` names a line of it.

Each line says what an SQLite file does, and what a PostgreSQL server does.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One thing that is not the same on both engines."""

    sqlite: str
    postgresql: str


DIFFERENCES = {
    "foreign keys": Difference("a connection can switch them off", "they always hold"),
    "texts that are not UTF-8": Difference("another program can store them", "the server refuses them"),
    "texts that are no JSON": Difference("another program can store them", "the server refuses them"),
    "broken rows": Difference("a connection can switch off the CHECKs", "the CHECKs always hold"),
    "assigned values": Difference(
        "a value of another type is refused", "10.5 becomes 10 in a column of integers, as everywhere on the server"
    ),
    "writers": Difference("one writer at a time, others wait", "writers wait only for each other's rows"),
    "compaction": Difference("old snapshots are compacted into blocks", "the server compresses each text"),
    "sizes of sessions": Difference("bytes of plain texts and of blocks", "bytes of the texts as compressed"),
    "types of columns": Difference(
        "a column takes a value of any type, which is named with its row",
        "a column has one type: a table with other types is none of ours",
    ),
    "names of tables": Difference("in any case of letters", "exact"),
    "kinds of tables": Difference("virtual tables too", "partitioned, inherited and foreign tables too"),
    "rebuilt tables": Difference("Peewee makes a table anew to change a column", "the server changes the column"),
    "broken views": Difference("a table of a view can be dropped", "the server refuses to drop it"),
    "words of an error": Difference("SQLite's", "the server's"),
    "SQL of a host": Difference("SQLite's functions and triggers", "the server's own"),
    "stored SQL of a schema": Difference(
        "its text can be rewritten in place", "the server writes it from its catalogs"
    ),
    "settings of a connection": Difference(
        "PRAGMAs", "settings of the session, which a transaction can have for itself"
    ),
    "classes of databases": Difference("Peewee's classes for SQLite", "Peewee's classes for the two drivers"),
    "locks": Difference("one lock for the whole file", "a lock for each row and each table"),
    "rehearsals": Difference("on a copy of the file", "inside the database, as a line on stderr says"),
    "migrations of the usage tables": Difference("make blocks of compacted rows", "make notes of sessions that ended"),
    "files": Difference("a database is a file with a path and permissions", "a database is a schema on a server"),
    "steps of maintenance": Difference("each engine has its own", "each engine has its own"),
}
