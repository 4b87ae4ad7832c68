"""Compare settings that a migration may change with those before it, and put them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.watched.kinds_of_statements import may_set, sets_locally

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
READ = "SELECT ARRAY[" + ", ".join(f"current_setting('{name}')" for name in _SETTINGS) + "]"


def read_settings(database: peewee.PostgresqlDatabase) -> dict[str, str]:
    """Return the settings that matter to the runner and to the application. Reads only."""
    return settings_from(database.execute_sql(READ).fetchone()[0])


def settings_from(values: Sequence[str]) -> dict[str, str]:
    """Return the settings by their names from the values that `READ` gives."""
    return dict(zip(_SETTINGS, values, strict=True))


def changed_for_the_session(
    before: Mapping[str, str], after: Mapping[str, str], statements: Collection[str]
) -> str | None:
    """Return the reason to refuse a migration that left a setting changed, or None.

    A setting that one of the statements says to be LOCAL may differ, because the server puts it back.
    """
    for name, value in after.items():
        if before[name] != value and not any(sets_locally(sql, name) for sql in statements):
            return outlives(name)
    return None


def outlives(what: str) -> str:
    """Return the reason to refuse a setting of the session."""
    return f"{what} inside a migration would outlive it: use SET LOCAL, which ends with the migration"


def put_back(
    database: peewee.PostgresqlDatabase,
    before: Mapping[str, str],
    statements: Collection[str] = (),
    local_only: Collection[str] = (),
    now: Mapping[str, str] | None = None,
) -> None:
    """Give the settings that differ their values of before, and those that the statements set for the transaction.

    The values of `local_only` are put back for this transaction alone, because they were set for it alone. `now` are
    the present settings, if the caller has read them.
    """
    setting = [sql for sql in statements if may_set(sql)]
    for name, value in (read_settings(database) if now is None else now).items():
        if value != before[name] or any(sets_locally(sql, name) for sql in setting):
            database.execute_sql("SELECT set_config(%s, %s, %s)", (name, before[name], name in local_only))
