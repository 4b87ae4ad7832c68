"""The hash of a stored snapshot. It is the same for the same snapshot on every engine."""

from __future__ import annotations

import hashlib
from typing import Any

HASH_BYTES = 8  # of SHA-256, as a signed integer, which is the server's bigint


def snapshot_hash(row: tuple[Any, ...]) -> int:
    """Return the hash of a row: id, session id, text, type and timestamp. The session id is not in the hash."""
    row_id, _, text, kind, timestamp = row[:5]
    if isinstance(text, bytes):
        text = repr(text)  # the reason why a text cannot be read
    line = f"{row_id} {kind} {timestamp} {text}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(line).digest()[:HASH_BYTES], "big", signed=True)
