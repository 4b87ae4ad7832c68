"""A Flask application with a database object of its own, which also holds its own table."""

from __future__ import annotations

import os

from flask import Flask
from peewee import AutoField, IntegerField, Model, SqliteDatabase

from usage_store import init_database, insert_usage_snapshot, register_session

app = Flask(__name__)
database = SqliteDatabase(os.environ["USAGE_STORE_DATABASE"], pragmas={"journal_mode": "wal", "foreign_keys": 1})


class Visit(Model):
    id = AutoField()
    number = IntegerField(unique=True)

    class Meta:
        database = database
        table_name = "visit"


init_database(database)
with database.connection_context():
    database.create_tables([Visit])
    register_session("ab74d3b7")


@app.before_request
def connect() -> None:
    database.connect()


@app.teardown_request
def close(_error: BaseException | None) -> None:
    if not database.is_closed():
        database.close()


@app.post("/snapshots/<int:number>")
def store(number: int) -> tuple[dict[str, int], int]:
    """Store a visit and a snapshot in one transaction."""
    with database.atomic("IMMEDIATE"):
        visit = Visit.create(number=number)
        stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
        if stored is None:
            raise ValueError(number)
    return {"id": visit.id}, 200
