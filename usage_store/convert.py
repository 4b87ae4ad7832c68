"""Bring a database that the original TypeScript monitor made to this schema.

The command is `python -m usage_store.convert [DATABASE]`.

The original's version 1 has no usage_sessions and no foreign key, and wrote milliseconds where these tables have
seconds.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.file.schema_hash import Fingerprint
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.errors import ConfigurationError, MigrationError, SchemaDrift
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.load_file import Loader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.migrate import Migration


# Any text is greater than any number, and divided by 1000 it would be 0.
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


@dataclass(frozen=True, slots=True)
class Converted:
    """How many rows were kept, and how many sessions were registered for them."""

    configurations: int
    snapshots: int
    sessions: int


def convert_original(database: peewee.Database) -> Converted | None:
    """Rebuild the original's tables as this package's version 1, every row and id kept; None if they are already.

    Milliseconds become seconds, every session that has snapshots or events is registered, and so is the history's
    row. One transaction: it raises and changes nothing if a table has columns that ours lacks, a row breaks a
    rule, or the history has more than version 1.
    """
    runner = MigrationRunner(database)
    first = runner.records.files()[0]
    with (
        runner.connected(),
        _one_line_for_rows(),
        runner.records.alone(runner.wait, runner.on_wait),
        write_transaction(runner.database),
    ):
        return _convert(runner, first) if _is_original(runner) else None


@contextmanager
def _one_line_for_rows() -> Iterator[None]:
    try:
        yield
    except peewee.IntegrityError as error:
        raise SchemaDrift(f"a row breaks a rule of this schema ({error}); mend or delete it first") from error


def _is_original(runner: MigrationRunner) -> bool:
    applied = runner.history.applied()
    if not applied:
        raise ConfigurationError("no migration was applied to this database; `python -m usage_store.migrate` does it")
    tables = set(runner.database.get_tables())
    if "usage_sessions" in tables:
        return False
    if [row.version for row in applied] != [1] or not tables.issuperset(_COLUMNS):
        raise ConfigurationError("this is not a database of the original monitor at version 1")
    for table, columns in _COLUMNS.items():
        # xinfo, because the other pragma leaves generated columns out
        there = runner.database.execute_sql(f"PRAGMA table_xinfo({table})").fetchall()
        extra = {row[1] for row in there} - set(columns.split(", "))
        if extra:
            raise ConfigurationError(f"{table} has columns that would be lost: {', '.join(sorted(extra))}")
        objects = runner.database.execute_sql(
            "SELECT name FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            (table,),
        ).fetchall()
        extra = {name for (name,) in objects} - _INDEXES
        if extra:
            raise ConfigurationError(
                f"{table} has indexes or triggers that would be lost: {', '.join(sorted(extra))}; "
                "drop them, and make them again afterwards"
            )
    return True


def _convert(runner: MigrationRunner, first: Migration) -> Converted:
    db = runner.database
    violated = violations(db)
    for table, columns in _COLUMNS.items():
        kept = ", ".join(_SECONDS.format(name) if name in _TIMES else name for name in columns.split(", "))
        db.execute_sql(f"CREATE TEMP TABLE original_{table} AS SELECT {kept} FROM {table}")  # noqa: S608
    marks = db.execute_sql("SELECT name, seq FROM sqlite_sequence WHERE name IN ('usage_config', 'usage_snapshots')")
    marks = [(seq, name) for name, seq in marks.fetchall()]
    for table in _COLUMNS:
        db.execute_sql(f"DROP TABLE {table}")
    Loader().module(first).up(None, db)
    db.execute_sql(
        "INSERT INTO usage_sessions (session_id) "
        "SELECT DISTINCT session_id FROM temp.original_usage_snapshots WHERE true ON CONFLICT DO NOTHING"
    )
    if _count(db, "temp.original_usage_config"):
        db.execute_sql("DELETE FROM usage_config")
    for table, columns in _COLUMNS.items():
        db.execute_sql(f"INSERT INTO {table} ({columns}) SELECT * FROM temp.original_{table}")  # noqa: S608
        db.execute_sql(f"DROP TABLE temp.original_{table}")
    for mark in marks:
        db.execute_sql("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", mark)
    history = runner.history.table_name
    runner.history.create()
    db.execute_sql(
        f"UPDATE {history} SET name = ?, applied_at = {_SECONDS.format('applied_at')}",  # noqa: S608
        (first.name,),
    )
    runner.log.create()
    runner.log.append(first, "stamp", 0.0, first.read(), Fingerprint(db).read())
    if violations(db) - violated:
        raise MigrationError("rows would be left without the rows that they refer to; nothing was changed")
    return Converted(*(_count(db, table) for table in (*_COLUMNS, "usage_sessions")))


def _count(db: peewee.Database, table: str) -> int:
    count: int = db.execute_sql(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
    return count


if __name__ == "__main__":
    from usage_store.cli.usage_commands import convert_main

    sys.exit(convert_main())
