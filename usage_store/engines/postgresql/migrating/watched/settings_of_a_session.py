"""Compare settings and locks that a migration may change with those before it, and put the settings back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.postgresql.migrating.watched.kinds_of_statements import sets_locally

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import peewee

_SETTINGS = (
    "search_path",
    "role",
    "session_authorization",
    "session_replication_role",
    "default_transaction_isolation",
    "default_transaction_deferrable",
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "client_encoding",
    "client_min_messages",
    "standard_conforming_strings",
    "check_function_bodies",
    "row_security",
    "synchronous_commit",
    "default_tablespace",
    "default_table_access_method",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "bytea_output",
    "xmloption",
)
_READ = "SELECT " + ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
_READ_LOCKS = """ARRAY(
  SELECT format('%%s %%s %%s', classid, objid, objsubid) FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
)"""
_GAVE_UP = (
    "the migration gave up an advisory lock that it has not taken: without the lock of the runner, another run could "
    "start meanwhile; give up only your own, by pg_advisory_unlock(KEY)"
)


class Session(NamedTuple):
    """The settings of a session that matter to the runner and to the application, and its advisory locks."""

    settings: Mapping[str, str]
    locks: frozenset[str]


def read_session(database: peewee.PostgresqlDatabase) -> Session:
    """Return the settings and the advisory locks of the session. Reads only."""
    *values, locks = database.execute_sql(f"{_READ}, {_READ_LOCKS}").fetchone()
    return Session(dict(zip(_SETTINGS, values, strict=True)), frozenset(locks))


def read_settings(database: peewee.PostgresqlDatabase) -> dict[str, str]:
    """Return the settings that matter to the runner and to the application. Reads only."""
    return dict(zip(_SETTINGS, database.execute_sql(_READ).fetchone(), strict=True))


def changed_for_the_session(before: Session, after: Session, statements: Collection[str]) -> str | None:
    """Return the reason to refuse a migration that left a setting changed or gave up a lock, or None.

    A setting that one of the statements says to be LOCAL may differ, because the server puts it back.
    """
    for name, value in after.settings.items():
        if before.settings[name] != value and not any(sets_locally(sql, name) for sql in statements):
            return outlives(name)
    return gave_up(before, after)


def gave_up(before: Session, after: Session) -> str | None:
    """Return the reason to refuse a migration that gave up an advisory lock of the session, or None."""
    return None if before.locks <= after.locks else _GAVE_UP


def outlives(what: str) -> str:
    """Return the reason to refuse a setting of the session."""
    return f"{what} inside a migration would outlive it: use SET LOCAL, which ends with the migration"


def put_back(
    database: peewee.PostgresqlDatabase,
    before: Mapping[str, str],
    statements: Collection[str] = (),
    local_only: Collection[str] = (),
) -> None:
    """Give the settings that differ their values of before, and those that the statements set for the transaction.

    The values of `local_only` are put back for this transaction alone, because they were set for it alone.
    """
    for name, value in read_settings(database).items():
        if value != before[name] or any(sets_locally(sql, name) for sql in statements):
            database.execute_sql("SELECT set_config(%s, %s, %s)", (name, before[name], name in local_only))
