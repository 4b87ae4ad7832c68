"""Notice that a migration wrote to the runner's own tables, altered, dropped or hid them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_objects import text_literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import peewee

# ANALYZE of another session changes other columns of pg_class, so the row is not compared as a whole.
_STATE = """
SELECT ARRAY[n.name, to_regclass(quote_ident(n.name))::bigint::text, c.oid::text, c.relkind::text, c.relfilenode::text,
  c.relowner::text, c.relacl::text, c.reloptions::text,
  c.relrowsecurity::text, c.relhastriggers::text, c.relhasrules::text, c.relchecks::text,
  (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0),
  pg_stat_get_xact_tuples_inserted(c.oid)::text,
  pg_stat_get_xact_tuples_updated(c.oid)::text,
  pg_stat_get_xact_tuples_deleted(c.oid)::text]
FROM (VALUES {}) AS n (name)
LEFT JOIN pg_catalog.pg_class AS c ON c.relname = n.name
  AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""


def query_of(own: Collection[str]) -> str:
    """Return the query for the states of these tables.

    The names are part of its text: with an array as a parameter, the server would plan a prepared query each time.
    """
    names = ", ".join(f"({text_literal(name)})" for name in own).replace("%", "%%")
    return _STATE.format(names or "(NULL)")


def read_own(database: peewee.PostgresqlDatabase, own: Collection[str]) -> dict[str, tuple[Any, ...]]:
    """Return what a migration must not change of these tables, by their names. Reads only."""
    return states_of([row for (row,) in database.execute_sql(query_of(own)).fetchall()])


def states_of(rows: Iterable[Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    """Return the states by the names of their tables from the rows of the query."""
    return {name: tuple(state) for name, *state in rows if name is not None}


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
