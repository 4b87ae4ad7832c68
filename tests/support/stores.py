"""Make migrated stores of the usage tables on both engines, without migrating again for each test."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

from tests.support.databases import opened
from tests.support.postgresql_servers import NEWEST, for_drivers, new_schema, programs, run_sql, schema_of
from tests.support.snapshots import fill, filled, new_store
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from tests.support.databases import Target
    from tests.support.engines import Place

# Of a dump: what only psql knows, what older servers do not know, and what is there.
_NOT_FOR_ALL = ("\\", "--", "SET transaction_timeout", "CREATE SCHEMA ")


def make_store(target: Target) -> None:
    """Make the usage tables in an empty place, as `init_database()` does."""
    if not isinstance(target, str):
        new_store(target)
    elif programs(NEWEST) is None:  # a server of the user, and no pg_dump
        migrate(target)
    else:
        name, dumped = _dumped()
        run_sql(target, dumped.replace(name, schema_of(target)))


def filled_at(place: Place, count: int = 600, days: float = 60) -> Place:
    """Make the same in an empty place of any engine."""
    if not isinstance(place, str):
        return filled(place, count, days)
    make_store(place)
    with opened(place) as database:
        database.execute_sql("INSERT INTO usage_sessions (session_id) VALUES ('s')")
        fill(database, count, days)
    return place


def migrate(target: Target) -> None:
    """Apply the migrations of the usage tables."""
    with opened(target) as database:
        MigrationRunner(database).migrate()


@cache
def _dumped() -> tuple[str, str]:
    """Return the name of a migrated schema, and the SQL that makes the same objects and rows."""
    folder = programs(NEWEST)
    assert folder is not None
    with new_schema() as url:
        migrate(url)
        name = schema_of(url)
        words = ["--schema", name, "--no-owner", "--inserts", for_drivers(url)]
        done = subprocess.run([folder / "pg_dump", *words], check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(_NOT_FOR_ALL)]
    return name, "\n".join([*lines, "RESET ALL"])
