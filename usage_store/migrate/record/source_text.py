"""The text of a migration: its checksum, and whether another one means the same."""

from __future__ import annotations

import ast
import hashlib


def checksum(source: bytes) -> str:
    """Give a text's SHA-256, the same for every kind of line ending."""
    if b"\r" in source:
        source = source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return hashlib.sha256(source).hexdigest()


def same_meaning(before: str, after: str) -> bool:
    """Tell whether two sources differ in comments and layout only: Python parses them alike."""
    try:
        return ast.dump(ast.parse(before)) == ast.dump(ast.parse(after))
    except (SyntaxError, ValueError):
        return False
