"""Peewee's queries of the usage models. On this engine they need no help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee


def prepare(database: peewee.PostgresqlDatabase) -> None:
    """Do nothing: the functions of the queries are in the schema."""
