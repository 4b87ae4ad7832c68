"""A hash of the whole schema."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee


class Fingerprint:
    """A hash of the whole schema's DDL, kept up to date at the cost of what was added.

    The sum of the objects' SHA-256, so that their order does not matter.
    """

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        self._sum = 0
        self._last = 0

    def read(self, *, only_added: bool = False) -> str:
        """Give the fingerprint; `only_added` promises that since the last call objects were only made. Reads only."""
        if not only_added:
            self._sum = self._last = 0
        sql = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_master WHERE rowid > ? ORDER BY rowid"
        for rowid, *row in self._database.connection().execute(sql, (self._last,)).fetchall():
            self._sum += int.from_bytes(hashlib.sha256(repr(row).encode()).digest())
            self._last = rowid
        return f"{self._sum % 2**256:064x}"
