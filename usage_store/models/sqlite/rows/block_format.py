"""The format of compacted snapshots on disk: a reference in each row, and blocks that hold the texts.

A reference is a blob of ASCII, `block:number`, shorter than 20 bytes. No JSON text looks like a reference. A block is
compressed by zlib, which adds a checksum. It holds one line with the lengths of the texts in bytes, and then the texts.
Texts of one session are alike and compress well together. Migration 002 has a frozen copy of this format.
"""

from __future__ import annotations

import json
import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from usage_store.errors import DamagedSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

# The most bytes of texts in a block, unless the block holds only one text. Measured on the real stream, a snapshot
# takes 94 bytes of the pages with blocks of 32 kB, 75 with 40 kB, 69 with 48 kB, and 83 with 64 kB (two such blocks do
# not fit in one page). Larger blocks take longer to inflate: 30 us for 32 kB, 54 us for 64 kB.
BLOCK_BYTES = 40 * 1024

# The bytes of a snapshot `s` on disk: those of its text, or those of its reference and its share of the block `b`.
STORED_BYTES = (
    "CASE WHEN b.id IS NULL THEN length(CAST(s.snapshot_data AS BLOB)) "
    "ELSE length(s.snapshot_data) + length(b.data) * 1.0 / b.refs END"
)
# Whether a snapshot holds a reference (digits, a colon, digits), as in migration 002. {0} is the table or its alias.
REFERS = """typeof({0}.snapshot_data) = 'blob' AND length({0}.snapshot_data) < 20
  AND CAST({0}.snapshot_data AS TEXT) GLOB '[0-9]*:[0-9]*'
  AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*[^0-9:]*' AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*:*:*'"""
ITS_BLOCK = f"""LEFT JOIN usage_snapshot_blocks AS b ON {REFERS.format("s")}
  AND b.id = CAST(s.snapshot_data AS INTEGER)"""
# The block that `text()` needs beside `snapshot_data`. The same statement reads both, so that they belong together.
BLOCK = (
    "CASE typeof(snapshot_data) WHEN 'blob' THEN "
    "(SELECT data FROM usage_snapshot_blocks AS b WHERE b.id = CAST(snapshot_data AS INTEGER)) END"
)
_BLOCKS = "SELECT id, data FROM usage_snapshot_blocks ORDER BY id"
# The text is cast to a blob, because sqlite3 returns a blob even if it is not valid text. The blob is in the encoding
# of the database.
_TEXTS = f"SELECT id, typeof(snapshot_data), CAST(snapshot_data AS BLOB), {BLOCK} FROM usage_snapshots ORDER BY id"  # noqa: S608
_REFERENCE = re.compile(rb"(?!.{20})([0-9]+):([0-9]+)")
_LINE = 128 * 1024  # the most bytes of the line of lengths; in a block of this package, the line is shorter
_SHARED = 2**20  # the most bytes of several texts in one block; a block of this package holds 32 or 40 kB
_ALONE = 10**9  # the most bytes of a text that is alone in its block; SQLite cannot store a longer text
_KEPT, _KEPT_BYTES = 64, 64 * 1024  # how many blocks are kept in memory, and the most bytes of each: 4 MB in all


def pack(texts: Iterable[bytes]) -> bytes:
    """Return a block that holds the texts."""
    texts = tuple(texts)
    return zlib.compress(b" ".join(b"%d" % len(text) for text in texts) + b"\n" + b"".join(texts))


def reference(block: int, number: int) -> bytes:
    """Return the reference to the text with this number in a block; the first number is 0."""
    return b"%d:%d" % (block, number)


def text(stored: bytes, data: bytes | None) -> str:
    """Return the text of a blob in `snapshot_data`: a text of its block, or the blob itself if it is no reference.

    `data` is the value of `BLOCK` in the same row. Raises DamagedSnapshot.
    """
    found = _REFERENCE.fullmatch(stored)
    given = stored if found is None else _text_of_block(int(found[1]), int(found[2]), data)
    try:
        return given.decode()
    except UnicodeDecodeError as error:
        raise DamagedSnapshot(f"its text is not UTF-8 ({error})") from None


def _text_of_block(block: int, number: int, data: bytes | None) -> bytes:
    if data is None:
        raise DamagedSnapshot(f"usage_snapshot_blocks: block {block}, which it needs, is gone")
    try:
        return _texts(data)[number]
    except (IndexError, ValueError, zlib.error) as error:
        raise DamagedSnapshot(f"usage_snapshot_blocks: block {block}, which it needs, is damaged ({error})") from error


def unpack(data: bytes) -> tuple[bytes, ...]:
    """Return the texts of a block. Raises ValueError or zlib.error for a damaged block.

    Inflates at most one byte more than the line of lengths says, so that a damaged block cannot fill the memory.
    """
    inflater = zlib.decompressobj()
    line, newline, rest = inflater.decompress(data, _LINE).partition(b"\n")
    if not newline:
        raise ValueError("it has no line of lengths")
    lengths = [_length(word) for word in line.split(b" ")]
    total = sum(lengths)
    if total > (_ALONE if len(lengths) == 1 else _SHARED):
        raise ValueError("its texts are too long for one block")
    # One byte more than is missing is requested: then zlib reads all of the input, and checks the checksum.
    rest += inflater.decompress(inflater.unconsumed_tail, max(total - len(rest), 0) + 1)
    if len(rest) != total or not inflater.eof:
        raise ValueError("the lengths of its texts do not add up")
    texts, position = [], 0
    for length in lengths:
        texts.append(rest[position : position + length])
        position += length
    return tuple(texts)


def _length(word: bytes) -> int:
    if not word.isdigit():
        raise ValueError(f"{word[:20]!r} is not the length of a text")
    return int(word)


class _TooLarge(Exception):
    """Texts that are too large to keep in memory. It is an exception, because lru_cache keeps each returned value."""

    def __init__(self, texts: tuple[bytes, ...]) -> None:
        self.texts = texts


def _texts(data: bytes) -> tuple[bytes, ...]:
    try:
        return _recent(data)
    except _TooLarge as large:
        return large.texts


@lru_cache(maxsize=_KEPT)
def _recent(data: bytes) -> tuple[bytes, ...]:
    # The key is the block's bytes, so that blocks of two databases never mix. Snapshots of a session that follow each
    # other share a block, so it is kept. A block with one large text is not kept: no other snapshot needs it.
    texts = unpack(data)
    if len(data) + sum(map(len, texts)) > _KEPT_BYTES:
        raise _TooLarge(texts)
    return texts


def damaged_blocks(database: peewee.SqliteDatabase) -> Iterator[str]:
    """Inflate every block once, and yield one line for each damaged block. Reads only."""
    for block, data in database.execute_sql(_BLOCKS):
        try:
            unpack(data)
        except (ValueError, zlib.error) as error:
            yield f"usage_snapshot_blocks: block {block} is damaged ({error})"


def damaged_snapshots(database: peewee.SqliteDatabase) -> Iterator[tuple[int, str]]:
    """Read every text; yield the id and one line for each snapshot that is unreadable or not JSON. Reads only."""
    encoding = str(database.pragma("encoding"))
    for row, kind, stored, block in database.execute_sql(_TEXTS):
        try:
            json.loads(text(stored, block) if kind == "blob" else stored.decode(encoding))
        except DamagedSnapshot as damage:
            yield row, f"snapshot {row}: {damage}"
        except UnicodeDecodeError as error:
            yield row, f"snapshot {row}: its text is not UTF-8 ({error})"
        except (RecursionError, ValueError) as error:
            yield row, f"snapshot {row}: its text is not JSON ({error})"
