"""Run each migration in a transaction that only the runner can commit: the server itself guards it.

A temporary table holds two equal values under a UNIQUE constraint that the server checks at COMMIT. The runner deletes
them just before its own COMMIT. So every other COMMIT fails and rolls everything back. After a ROLLBACK, the session is
read-only, because only the runner's transaction is begun as READ WRITE.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from usage_store.engines.postgresql.catalogs import changed_objects
from usage_store.engines.postgresql.catalogs.session_functions import drop_functions, make_functions
from usage_store.engines.postgresql.connection.write_transaction import has_failed, is_idle, write_transaction
from usage_store.engines.postgresql.migrating.watched import objects_of_a_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee

GUARD = "usage_store_guard"
NEVER_COMMITTED = "usage_store_never_committed"  # a table of a session that can only roll back
GUARDS = 2  # the rows of that table in a transaction that the runner has begun
LOCK_TIMEOUT = 1000  # milliseconds: the longest time for which a waiting migration makes others wait behind it

_FUNCTIONS = {**changed_objects.FUNCTIONS, **objects_of_a_schema.FUNCTIONS}
_READ_ONLY = "SET default_transaction_read_only = {}"
# The counts of rows that this session has written are collected at the end of this statement, and begin at 0 again.
_BEFORE = "SELECT set_config('default_transaction_read_only', 'on', false), pg_stat_force_next_flush()"
_BEGUN = (
    f"SET TRANSACTION READ WRITE; SET LOCAL lock_timeout = {LOCK_TIMEOUT}; "  # noqa: S608
    f"INSERT INTO pg_temp.{GUARD} VALUES (1), (1)"
)
# Each savepoint in which something is written has a number like a transaction. This takes the highest of them.
NUMBERED = (
    "SAVEPOINT usage_store_number; "  # noqa: S608
    f"UPDATE pg_temp.{GUARD} SET n = n; RELEASE SAVEPOINT usage_store_number"
)
_UNGUARDED = f"DELETE FROM pg_temp.{GUARD}"  # noqa: S608
_ENDED = f"{_UNGUARDED}; {_READ_ONLY.format('off')}"
_DEFERRABLE = """
SELECT string_agg(name, ', '), string_agg(name, ', ') FILTER (WHERE condeferred) FROM (
  SELECT format('%%I.%%I', n.nspname, c.conname) AS name, c.condeferred FROM pg_catalog.pg_constraint AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace
  WHERE c.condeferrable AND n.oid <> pg_catalog.pg_my_temp_schema()
) AS c
"""


def make_guard(database: peewee.PostgresqlDatabase) -> None:
    """Create the temporary table that guards transactions, and what else a session needs, once in a session."""
    make_functions(database, _FUNCTIONS)
    if database.execute_sql(f"SELECT to_regclass('pg_temp.{GUARD}')").fetchone() == (None,):
        database.execute_sql(f"CREATE TEMPORARY TABLE {GUARD} (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        database.execute_sql(f"GRANT SELECT ON pg_temp.{GUARD} TO PUBLIC")  # a migration may say SET LOCAL ROLE


def remove_guard(database: peewee.PostgresqlDatabase) -> None:
    """Drop what `make_guard()` created."""
    drop_functions(database, _FUNCTIONS)
    database.execute_sql(f"DROP TABLE IF EXISTS pg_temp.{GUARD}")


@contextmanager
def transaction(
    database: peewee.PostgresqlDatabase, ends: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Run the block in a transaction that only this function can commit; no statement waits longer for a lock.

    If the block fails, everything is rolled back, and its error is raised. A lock that is not had within
    `LOCK_TIMEOUT` raises an error with sqlstate 55P03. BEGIN and COMMIT each run inside a context manager that `ends`
    makes. Needs the table of `make_guard()`. In the open transaction of a rehearsal, the block is a savepoint.
    """
    if database.in_transaction():
        with write_transaction(database, ends):
            database.execute_sql(_BEGUN)
            yield
            database.execute_sql(_UNGUARDED)
            with ends():
                _check_deferred(database)
        return
    with ends():
        database.execute_sql(_BEFORE)
    try:
        with write_transaction(database, ends):
            database.execute_sql(_BEGUN)
            yield
            database.execute_sql(_ENDED)
    except BaseException:
        if not database.is_closed() and is_idle(database):
            database.execute_sql(_READ_ONLY.format("off"))
        raise


def never_commits(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether the open transaction is one that the server can only roll back, as in a rehearsal. Reads only."""
    if has_failed(database):
        return False
    found: tuple[str | None] = database.execute_sql(f"SELECT to_regclass('pg_temp.{NEVER_COMMITTED}')").fetchone()
    return found != (None,)


def _check_deferred(database: peewee.PostgresqlDatabase) -> None:
    """Check the deferred constraints, and run the deferred triggers, as a COMMIT would."""
    deferrable, deferred = database.execute_sql(_DEFERRABLE).fetchone()
    for names, when in ((deferrable, "IMMEDIATE"), (deferred, "DEFERRED")):
        if names is not None:
            database.execute_sql(f"SET CONSTRAINTS {names.replace('%', '%%')} {when}")


def roll_back_if_open(database: peewee.PostgresqlDatabase) -> bool:
    """Roll back the transaction that a migration left open, and return whether there was one."""
    left_open = not is_idle(database)
    if left_open:
        database.rollback()
    return left_open
