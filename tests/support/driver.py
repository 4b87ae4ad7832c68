"""The SQLite library that the package uses here: two libraries on one file cancel each other's locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3  # noqa: TID251  peewee's stubs do not know it
else:
    from peewee import sqlite3

__all__ = ["sqlite3"]
