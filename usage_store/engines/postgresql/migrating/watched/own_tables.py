"""Notice that a migration wrote to the runner's own tables, altered, dropped or hid them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

# ANALYZE of another session changes other columns of pg_class, so the row is not compared as a whole.
_STATE = """
SELECT n.name, to_regclass(quote_ident(n.name))::bigint, c.oid::bigint, c.relkind::text, c.relfilenode::bigint,
  c.relowner::bigint, c.relacl::text, c.reloptions::text,
  c.relrowsecurity, c.relhastriggers, c.relhasrules, c.relchecks,
  (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0),
  pg_stat_get_xact_tuples_inserted(c.oid),
  pg_stat_get_xact_tuples_updated(c.oid),
  pg_stat_get_xact_tuples_deleted(c.oid)
FROM unnest(%s::text[]) AS n (name)
LEFT JOIN pg_catalog.pg_class AS c ON c.relname = n.name
  AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""


def read_own(database: peewee.PostgresqlDatabase, own: Collection[str]) -> dict[str, tuple[Any, ...]]:
    """Return what a migration must not change of these tables, by their names. Reads only."""
    rows = database.execute_sql(_STATE, (list(own),)).fetchall()
    return {name: tuple(state) for name, *state in rows}


def changed(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> str | None:
    """Return the reason to refuse what happened between two calls of `read_own()`, or None."""
    for name, state in before.items():
        if after.get(name) == state:
            continue
        if state[1] is None:
            return f"a table was renamed to {name}, the name of the runner's own table; choose another name"
        return kept(name)
    return None


def kept(name: str) -> str:
    """Return the reason to refuse a change of one of these tables."""
    return f"{name} is the runner's own table: a migration must not write to it, alter, drop or hide it"


def kept_of(states: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Return the states without the counts of written rows, which are of one transaction only."""
    return {name: state[:-3] for name, state in states.items()}
