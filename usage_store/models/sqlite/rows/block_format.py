"""The form of compacted snapshots on disk: references in the rows, and blocks of texts that compress well together.

A reference is a blob of ASCII, `block:number`, of less than 20 bytes, which no JSON text can be. A block is zlib's
format (with its checksum) of one line with the texts' lengths in bytes, and the texts. Migration 002 holds the same,
frozen.
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

# Bytes of the texts in a block, at most, unless it is one text. Of the real stream, a snapshot's share of the pages is
# 94 bytes with 32 kB, 75 with 40 kB, 69 with 48 kB, and 83 with 64 kB, of which two blocks do not fit in one page. To
# inflate a block takes as long as it is: 30 us for 32 kB, 54 us for 64 kB.
BLOCK_BYTES = 40 * 1024

# The bytes of a snapshot `s` on disk: of its text, or of its reference and its share of the block `b`.
STORED_BYTES = (
    "CASE WHEN b.id IS NULL THEN length(CAST(s.snapshot_data AS BLOB)) "
    "ELSE length(s.snapshot_data) + length(b.data) * 1.0 / b.refs END"
)
# Whether a snapshot, named by its table or alias, refers to a block: digits, a colon, digits, as migration 002 has it.
REFERS = """typeof({0}.snapshot_data) = 'blob' AND length({0}.snapshot_data) < 20
  AND CAST({0}.snapshot_data AS TEXT) GLOB '[0-9]*:[0-9]*'
  AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*[^0-9:]*' AND CAST({0}.snapshot_data AS TEXT) NOT GLOB '*:*:*'"""
ITS_BLOCK = f"""LEFT JOIN usage_snapshot_blocks AS b ON {REFERS.format("s")}
  AND b.id = CAST(s.snapshot_data AS INTEGER)"""
# The column beside `snapshot_data` that `text()` needs: read in one statement, a row and its block belong together.
BLOCK = (
    "CASE typeof(snapshot_data) WHEN 'blob' THEN "
    "(SELECT data FROM usage_snapshot_blocks AS b WHERE b.id = CAST(snapshot_data AS INTEGER)) END"
)
_BLOCKS = "SELECT id, data FROM usage_snapshot_blocks ORDER BY id"
# As a blob, a text is in the database's encoding, and sqlite3 gives it whatever it holds.
_TEXTS = f"SELECT id, typeof(snapshot_data), CAST(snapshot_data AS BLOB), {BLOCK} FROM usage_snapshots ORDER BY id"  # noqa: S608
_REFERENCE = re.compile(rb"(?!.{20})([0-9]+):([0-9]+)")
_LINE = 128 * 1024  # bytes of a line of lengths, at most: a block of this package holds shorter ones
_SHARED = 2**20  # bytes of several texts in one block, at most: those of this package hold 32 or 40 kB
_ALONE = 10**9  # bytes of a text that has a block of its own: SQLite holds no longer one
_KEPT, _KEPT_BYTES = 64, 64 * 1024  # blocks and bytes of each: 4 MB in all


def pack(texts: Iterable[bytes]) -> bytes:
    """Put texts into one block."""
    texts = tuple(texts)
    return zlib.compress(b" ".join(b"%d" % len(text) for text in texts) + b"\n" + b"".join(texts))


def reference(block: int, number: int) -> bytes:
    """Give what stands in the row of the text with this number in a block."""
    return b"%d:%d" % (block, number)


def text(stored: bytes, data: bytes | None) -> str:
    """Give the text that a blob in `snapshot_data` stands for; one that is no reference is a text itself.

    `data` is what `BLOCK` gives beside it. Raises DamagedSnapshot.
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
    """Give the texts of a block. Raises ValueError or zlib.error for one that is damaged.

    No more is inflated than the line of lengths says, whatever is in there.
    """
    inflater = zlib.decompressobj()
    line, newline, rest = inflater.decompress(data, _LINE).partition(b"\n")
    if not newline:
        raise ValueError("it has no line of lengths")
    lengths = [_length(word) for word in line.split(b" ")]
    total = sum(lengths)
    if total > (_ALONE if len(lengths) == 1 else _SHARED):
        raise ValueError("its texts are too long for one block")
    # One byte more than is missing: then all of the input is read, and its checksum with it.
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
    """Texts that are not kept in memory. An exception, since lru_cache keeps everything else."""

    def __init__(self, texts: tuple[bytes, ...]) -> None:
        self.texts = texts


def _texts(data: bytes) -> tuple[bytes, ...]:
    try:
        return _recent(data)
    except _TooLarge as large:
        return large.texts


@lru_cache(maxsize=_KEPT)
def _recent(data: bytes) -> tuple[bytes, ...]:
    # By its bytes, so that blocks of two databases never mix. Neighbours share a block; a text that is larger than
    # most blocks has one for itself.
    texts = unpack(data)
    if len(data) + sum(map(len, texts)) > _KEPT_BYTES:
        raise _TooLarge(texts)
    return texts


def damaged_blocks(database: peewee.SqliteDatabase) -> Iterator[str]:
    """Inflate every block once, and give a line for each that is damaged. Reads only."""
    for block, data in database.execute_sql(_BLOCKS):
        try:
            unpack(data)
        except (ValueError, zlib.error) as error:
            yield f"usage_snapshot_blocks: block {block} is damaged ({error})"


def damaged_snapshots(database: peewee.SqliteDatabase) -> Iterator[tuple[int, str]]:
    """Read every text, and give the id of each that cannot be read or is not JSON, and a line. Reads only."""
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
