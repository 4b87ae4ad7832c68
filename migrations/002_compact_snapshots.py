"""Keep older snapshots small: several texts share one deflated block, and their rows keep a reference to it.

A reference is a blob of ASCII, `block:number`. A block is zlib's format of a line of the texts' lengths and the texts.
This file is frozen, so the format stands here again, as `down` reads it.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import SqliteDatabase
    from playhouse.migrate import SchemaMigrator

BLOCKS = """
CREATE TABLE usage_snapshot_blocks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  refs INTEGER NOT NULL DEFAULT 0,
  data BLOB NOT NULL
) STRICT
"""

# Digits, a colon, digits, less than 20 bytes: no JSON text, so a text that somebody stored as a blob is none.
REFERS = """typeof({0}.snapshot_data) = 'blob' AND length({0}.snapshot_data) < 20
  AND CAST({0}.snapshot_data AS TEXT) GLOB '[0-9]*:[0-9]*'
  AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*[^0-9:]*' AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*:*:*'"""
NEW, OLD = REFERS.format("NEW"), REFERS.format("OLD")
CHECK = """SELECT RAISE(ABORT, 'snapshot_data refers to a block that is not there') WHERE {0}
    AND NOT EXISTS (SELECT 1 FROM usage_snapshot_blocks WHERE id = CAST(NEW.snapshot_data AS INTEGER))"""
ADD = "UPDATE usage_snapshot_blocks SET refs = refs + 1 WHERE {0} AND id = CAST(NEW.snapshot_data AS INTEGER)"
TAKE = "UPDATE usage_snapshot_blocks SET refs = refs - 1 WHERE {0} AND id = CAST(OLD.snapshot_data AS INTEGER)"
DROP = "DELETE FROM usage_snapshot_blocks WHERE {0} AND id = CAST(OLD.snapshot_data AS INTEGER) AND refs <= 0"

# A block lives as long as rows refer to it, however they come and go: by statement, by cascade, moved or copied. An
# update adds before it takes, so that a row that stays in its block does not lose it.
TRIGGERS = {
    "usage_snapshots_inserted": ("INSERT", NEW, (CHECK.format("true"), ADD.format("true"))),
    "usage_snapshots_updated": (
        "UPDATE OF snapshot_data",
        f"({NEW}) OR ({OLD})",
        (CHECK.format(NEW), ADD.format(NEW), TAKE.format(OLD), DROP.format(OLD)),
    ),
    "usage_snapshots_deleted": ("DELETE", OLD, (TAKE.format("true"), DROP.format("true"))),
}

ROWS = REFERS.format("usage_snapshots")
COMPACTED = f"SELECT id, snapshot_data FROM usage_snapshots WHERE {ROWS} AND id >= ? ORDER BY id LIMIT 500"  # noqa: S608
PLAIN = "UPDATE usage_snapshots SET snapshot_data = CAST(? AS TEXT) WHERE id = ?"
AS_TEXT = f"UPDATE usage_snapshots SET snapshot_data = CAST(snapshot_data AS TEXT) WHERE {ROWS}"  # noqa: S608

# The newest of a session come without sorting, and its last hours without passing over the rest. The second index
# holds what is still to be compacted, and nothing of what is.
INDEXES = {
    "idx_usage_snapshots_session_id": "(session_id, timestamp)",
    "idx_usage_snapshots_plain": "(timestamp) WHERE typeof(snapshot_data) = 'text'",
}


def up(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Make the blocks, what counts the references to them, and the indexes.

    No row changes, unless somebody stored what looks like a reference: that becomes a text, which none can be.
    """
    db.execute_sql(BLOCKS)
    db.execute_sql(AS_TEXT)
    for trigger, (event, condition, actions) in TRIGGERS.items():
        body = ";\n  ".join(actions)
        db.execute_sql(
            f"CREATE TRIGGER {trigger} AFTER {event} ON usage_snapshots\nWHEN {condition}\nBEGIN\n  {body};\nEND"
        )
    db.execute_sql("DROP INDEX idx_usage_snapshots_session_id")
    for index, columns in INDEXES.items():
        db.execute_sql(f"CREATE INDEX {index} ON usage_snapshots{columns}")


def down(migrator: SchemaMigrator, db: SqliteDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Give every compacted row its plain text again, byte for byte, and remove the rest."""
    for trigger in TRIGGERS:
        db.execute_sql(f"DROP TRIGGER {trigger}")
    for index in INDEXES:
        db.execute_sql(f"DROP INDEX {index}")
    last = -(2**63)
    while rows := db.execute_sql(COMPACTED, (last,)).fetchall():
        for snapshot, stored in rows:
            db.execute_sql(PLAIN, (text(db, snapshot, *map(int, stored.split(b":"))), snapshot))
        last = snapshot
    db.execute_sql("CREATE INDEX idx_usage_snapshots_session_id ON usage_snapshots(session_id)")
    db.execute_sql("DROP TABLE usage_snapshot_blocks")


def text(db: SqliteDatabase, snapshot: int, block: int, number: int) -> bytes:
    """Give a snapshot's text in a block."""
    row = db.execute_sql("SELECT data FROM usage_snapshot_blocks WHERE id = ?", (block,)).fetchone()
    try:
        return unpack(row[0])[number]
    except (IndexError, TypeError, ValueError, zlib.error) as error:
        what = "gone" if row is None else f"damaged ({error})"
        raise ValueError(
            f"snapshot {snapshot} has its text in block {block}, which is {what}; delete it first"
        ) from None


@lru_cache(maxsize=2)
def unpack(data: bytes) -> tuple[bytes, ...]:
    """Give the texts of a block."""
    lengths, _, rest = zlib.decompress(data).partition(b"\n")
    texts, position = [], 0
    for length in map(int, lengths.split()):
        texts.append(rest[position : position + length])
        position += length
    return tuple(texts)
