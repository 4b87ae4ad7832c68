"""Convert the tables of the original TypeScript monitor to the tables of version 1 of this package.

The original has no usage_sessions and no foreign key, and it stores milliseconds instead of seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError
from usage_store.models.sqlite.rows.list_rows import count

if TYPE_CHECKING:
    import peewee

    Marks = list[tuple[int, str]]

# Only integers are divided: SQLite sorts a text after every number, and a text divided by 1000 would be 0.
_SECONDS = "CASE WHEN typeof({0}) = 'integer' AND {0} >= 100000000000 THEN {0} / 1000 ELSE {0} END"
_COLUMNS = {
    "usage_config": (
        "id, plan, custom_limit_tokens, view, timezone, time_format, theme, refresh_rate, refresh_per_second, "
        "reset_hour, created_at, updated_at, is_active"
    ),
    "usage_snapshots": "id, session_id, snapshot_data, snapshot_type, timestamp",
}
_INDEXES = {
    "idx_usage_config_active",
    "idx_usage_snapshots_session_id",
    "idx_usage_snapshots_timestamp",
    "idx_usage_snapshots_type",
}
_TIMES = ("created_at", "updated_at", "timestamp")


def refuse_losses(database: peewee.SqliteDatabase) -> None:
    """Raise ConfigurationError if the tables have columns, indexes or triggers that would be lost. Reads only."""
    for table, columns in _COLUMNS.items():
        # table_xinfo, because table_info does not list generated columns
        there = database.execute_sql(f"PRAGMA table_xinfo({table})").fetchall()
        extra = {row[1] for row in there} - set(columns.split(", "))
        if extra:
            raise ConfigurationError(
                f"{table} has columns that would be lost: {', '.join(sorted(extra))}; copy their values to another "
                "table, and drop the columns"
            )
        objects = database.execute_sql(
            "SELECT name FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            (table,),
        ).fetchall()
        extra = {name for (name,) in objects} - _INDEXES
        if extra:
            raise ConfigurationError(
                f"{table} has indexes or triggers that would be lost: {', '.join(sorted(extra))}; "
                "drop them, and create them again after the conversion"
            )


def set_aside(database: peewee.SqliteDatabase) -> Marks:
    """Copy the rows to temporary tables, with milliseconds as seconds, and drop the original tables.

    Returns the highest ids that were used so far, for `bring_back`.
    """
    for table, columns in _COLUMNS.items():
        kept = ", ".join(_SECONDS.format(name) if name in _TIMES else name for name in columns.split(", "))
        database.execute_sql(f"CREATE TEMP TABLE original_{table} AS SELECT {kept} FROM {table}")  # noqa: S608
    marks = "SELECT seq, name FROM sqlite_sequence WHERE name IN ('usage_config', 'usage_snapshots')"
    found: Marks = database.execute_sql(marks).fetchall()
    for table in _COLUMNS:
        database.execute_sql(f"DROP TABLE {table}")
    return found


def bring_back(database: peewee.SqliteDatabase, marks: Marks) -> tuple[int, int, int]:
    """Insert the copied rows into the new tables, and register their sessions.

    Returns the numbers of configurations, snapshots and sessions.
    """
    database.execute_sql(
        "INSERT INTO usage_sessions (session_id) "
        "SELECT DISTINCT session_id FROM temp.original_usage_snapshots WHERE true ON CONFLICT DO NOTHING"
    )
    if count(database, "temp.original_usage_config"):
        database.execute_sql("DELETE FROM usage_config")
    for table, columns in _COLUMNS.items():
        database.execute_sql(f"INSERT INTO {table} ({columns}) SELECT * FROM temp.original_{table}")  # noqa: S608
        database.execute_sql(f"DROP TABLE temp.original_{table}")
    for mark in marks:
        database.execute_sql("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", mark)
    return count(database, "usage_config"), count(database, "usage_snapshots"), count(database, "usage_sessions")


def mend_history(database: peewee.SqliteDatabase, table: str, name: str) -> None:
    """Change the only row of the history table: set its name, and convert its time to seconds."""
    sql = f"UPDATE {table} SET name = ?, applied_at = {_SECONDS.format('applied_at')}"  # noqa: S608
    database.execute_sql(sql, (name,))
