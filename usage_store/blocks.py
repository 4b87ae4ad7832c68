"""The form of compacted snapshots on disk: references in the rows, and blocks of texts that compress well together.

A reference is a blob of ASCII, `block:number`, of less than 20 bytes, which no JSON text can be. A block is zlib's
format (with its checksum) of one line with the texts' lengths in bytes, and the texts. Migration 002 holds the same,
frozen.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from usage_store.errors import DamagedSnapshot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

__all__ = ["BLOCK_BYTES", "ITS_BLOCK", "STORED_BYTES", "pack", "read", "reference", "register_usage_json", "text"]

# Of the real stream, 16 kB take 111 bytes a snapshot and 17 us to inflate, 32 kB 70 and 30, 64 kB 52 and 54.
BLOCK_BYTES = 32 * 1024

# The bytes of a snapshot `s` on disk: of its text, or of its reference and its share of the block `b`.
STORED_BYTES = (
    "CASE WHEN b.id IS NULL THEN length(CAST(s.snapshot_data AS BLOB)) "
    "ELSE length(s.snapshot_data) + length(b.data) * 1.0 / b.refs END"
)
ITS_BLOCK = """LEFT JOIN usage_snapshot_blocks AS b ON typeof(s.snapshot_data) = 'blob'
  AND length(s.snapshot_data) < 20 AND CAST(s.snapshot_data AS TEXT) GLOB '[0-9]*:[0-9]*'
  AND CAST(s.snapshot_data AS TEXT) NOT GLOB '*[^0-9:]*' AND CAST(s.snapshot_data AS TEXT) NOT GLOB '*:*:*'
  AND b.id = CAST(s.snapshot_data AS INTEGER)"""
_BLOCK = (
    "LEFT JOIN usage_snapshot_blocks AS b "
    "ON typeof(s.snapshot_data) = 'blob' AND b.id = CAST(s.snapshot_data AS INTEGER)"
)
_BLOCK = "SELECT data FROM usage_snapshot_blocks WHERE id = ?"
_REFERENCE = re.compile(rb"(?!.{20})([0-9]+):([0-9]+)")


def pack(texts: Iterable[bytes]) -> bytes:
    """Put texts into one block."""
    texts = tuple(texts)
    return zlib.compress(b" ".join(b"%d" % len(text) for text in texts) + b"\n" + b"".join(texts))


def reference(block: int, number: int) -> bytes:
    """Give what stands in the row of the text with this number in a block."""
    return b"%d:%d" % (block, number)


def text(connection: sqlite3.Connection, stored: Any) -> Any:
    """Give the text that a value of `snapshot_data` stands for. Reads only. Raises DamagedSnapshot."""
    return read(connection, stored).decode(errors="surrogateescape") if isinstance(stored, bytes) else stored


def register_usage_json(connection: sqlite3.Connection) -> None:
    """Give a connection the SQL function `usage_json(snapshot_data)`: a snapshot's text, compacted or not.

    Connections of a database that init_database() opened or adopted have it.
    """
    connection.create_function("usage_json", 1, lambda stored: text(connection, stored))


def read(connection: sqlite3.Connection, stored: bytes) -> bytes:
    """Give the text that a blob in `snapshot_data` stands for; one that is no reference is a text itself.

    Raises DamagedSnapshot if the block is gone or broken. Reads only.
    """
    found = _REFERENCE.fullmatch(stored)
    if found is None:
        return stored
    block, number = int(found[1]), int(found[2])
    row = connection.execute(_BLOCK, (block,)).fetchone()
    try:
        (data,) = row
        # Neighbours share a block. One text that alone is larger than a block is shared by few, and would be kept.
        texts = _recent(data) if len(data) <= BLOCK_BYTES else _unpack(data)
        return texts[number]
    except (IndexError, TypeError, ValueError, zlib.error) as error:
        what = "gone" if row is None else f"damaged ({error})"
        raise DamagedSnapshot(f"usage_snapshot_blocks: block {block}, which a snapshot needs, is {what}") from error


def _unpack(data: bytes) -> tuple[bytes, ...]:
    lengths, _, rest = zlib.decompress(data).partition(b"\n")
    texts, position = [], 0
    for length in map(int, lengths.split()):
        texts.append(rest[position : position + length])
        position += length
    return tuple(texts)


_recent = lru_cache(maxsize=16)(_unpack)
