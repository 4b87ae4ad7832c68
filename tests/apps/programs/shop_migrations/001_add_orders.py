"""Add the table of the orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import SqliteDatabase
    from playhouse.migrate import SchemaMigrator


def up(_migrator: SchemaMigrator, db: SqliteDatabase) -> None:
    db.execute_sql("CREATE TABLE shop_order (id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE)")


def down(_migrator: SchemaMigrator, db: SqliteDatabase) -> None:
    db.execute_sql("DROP TABLE shop_order")
