"""A Flask application that opens the database by its path, and connects for each request."""

from __future__ import annotations

from flask import Flask

from usage_store import get_session_sizes, init_database, insert_usage_snapshot, register_session

app = Flask(__name__)
database = init_database()


@app.before_request
def connect() -> None:
    database.connect(reuse_if_open=True)


@app.teardown_request
def close(_error: BaseException | None) -> None:
    database.close()


@app.post("/snapshots/<int:number>")
def store(number: int) -> tuple[dict[str, int], int]:
    """Store a number; refuse the unlucky one, as a bad value from outside would be."""
    register_session("ab74d3b7")
    tokens = number if number != 13 else "\ud800"
    stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": tokens}})
    return ({}, 422) if stored is None else ({"id": int(stored.id)}, 200)


@app.get("/sizes")
def sizes() -> dict[str, int]:
    return {size.session_id: size.snapshots for size in get_session_sizes()}
