"""A Flask application with a factory: its DatabaseProxy gets a database when the application is made."""

from __future__ import annotations

import os

from flask import Flask
from peewee import AutoField, DatabaseProxy, IntegerField, Model, SqliteDatabase

from usage_store import init_database, insert_usage_snapshot, register_session

database = init_database(DatabaseProxy())


class Visit(Model):
    id = AutoField()
    number = IntegerField(unique=True)

    class Meta:
        database = database
        table_name = "visit"


def create_app() -> Flask:
    app = Flask(__name__)
    pragmas = {"journal_mode": "wal", "foreign_keys": 1}
    database.initialize(SqliteDatabase(os.environ["USAGE_STORE_DATABASE"], pragmas=pragmas))
    with database.connection_context():
        database.create_tables([Visit])
        register_session("ab74d3b7")
    app.before_request(lambda: database.connect() and None)
    app.teardown_request(lambda _error: database.close() and None)
    app.post("/snapshots/<int:number>")(store)
    return app


def store(number: int) -> dict[str, int]:
    with database.atomic("IMMEDIATE"):
        visit = Visit.create(number=number)
        insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
    return {"id": visit.id}
