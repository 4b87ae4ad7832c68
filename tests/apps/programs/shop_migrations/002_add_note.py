"""Add a column that has a rule, so that the way back rebuilds the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import SqliteDatabase
    from playhouse.migrate import SchemaMigrator


def up(_migrator: SchemaMigrator, db: SqliteDatabase) -> None:
    db.execute_sql("ALTER TABLE shop_order ADD COLUMN note TEXT NOT NULL DEFAULT '' CHECK (length(note) < 100)")


def down(migrator: SchemaMigrator, _db: SqliteDatabase) -> None:
    migrator.drop_column("shop_order", "note").run()
