"""The rules of the snapshots' and sessions' tables that each engine writes in its own way."""

from __future__ import annotations

from peewee import SQL

from usage_store.models.fields.differs_by_engine import ByEngine

SESSION_ID = ByEngine(
    sqlite=SQL("CHECK (session_id <> '')"),
    postgresql=SQL("CHECK (session_id <> '' AND octet_length(session_id) <= 1000)"),
)
SECONDS = ByEngine(
    sqlite=SQL("CHECK (typeof(timestamp) = 'integer' AND timestamp >= 0 AND timestamp < 100000000000)"),
    postgresql=SQL("CHECK (timestamp >= 0 AND timestamp < 100000000000)"),
)
# On PostgreSQL the column refuses a text that is not JSON. On SQLite the insert does.
JSON = ByEngine(
    sqlite=SQL(""),
    postgresql=SQL(
        "CHECK (CASE WHEN octet_length(snapshot_data) < 20 AND snapshot_data ~ '^[0-9]+:[0-9]+$' THEN true "
        "ELSE snapshot_data::json IS NOT NULL END)"
    ),
)
