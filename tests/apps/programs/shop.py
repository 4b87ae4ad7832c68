"""A shop with a table and migrations of its own, which stores a snapshot with each order, in one transaction."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from peewee import AutoField, IntegerField, Model, SqliteDatabase

from usage_store import MigrationRunner, init_database, insert_usage_snapshot, register_session

MIGRATIONS = Path(__file__).parent / "shop_migrations"
app = Flask(__name__)
database = SqliteDatabase(
    os.environ["USAGE_STORE_DATABASE"], pragmas={"journal_mode": "wal", "foreign_keys": 1}, timeout=30
)


class Order(Model):
    id = AutoField()
    number = IntegerField(unique=True)

    class Meta:
        database = database
        table_name = "shop_order"


init_database(database)
MigrationRunner(database, MIGRATIONS).migrate()
with database.connection_context():
    register_session("ab74d3b7")


@app.before_request
def connect() -> None:
    database.connect()


@app.teardown_request
def close(_error: BaseException | None) -> None:
    if not database.is_closed():
        database.close()


@app.post("/snapshots/<int:number>")
def order(number: int) -> tuple[dict[str, int], int]:
    """Store an order with its snapshot, or none of both: every tenth order is cancelled at the end."""
    with database.atomic("IMMEDIATE") as transaction:
        made = Order.create(number=number)
        insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
        if number % 10 == 0:
            transaction.rollback()
            return {}, 409
    return {"id": made.id}, 200
