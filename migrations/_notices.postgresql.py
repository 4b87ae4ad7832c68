"""Notices about the usage tables on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

_TRIGGERS = """('usage_events_inserted', 'usage_events_deleted', 'usage_events_moved', 'usage_events_truncated',
    'usage_sessions_settled')"""
# The first table of this name on the search path. The triggers that register sessions are counted, and the schemas of
# other stores whose triggers are on the table are listed.
_EVENTS = f"""
SELECT e.relkind, quote_ident(e.schema) || '.events', format_type(a.atttypid, a.atttypmod),
  t.typcategory IN ('S', 'E') OR coalesce(nullif(t.typbasetype, 0), t.oid)
    IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype),
  has_table_privilege(e.oid, 'SELECT') AND has_table_privilege(e.oid, 'TRIGGER'), current_user::text,
  (SELECT count(*) FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
    WHERE g.tgname IN {_TRIGGERS} AND g.tgrelid IN (e.oid, to_regclass('usage_sessions_ended'))
      AND g.tgenabled <> 'D' AND p.pronamespace = quote_ident(current_schema())::regnamespace),
  (SELECT min(p.pronamespace::regnamespace::text) FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
    WHERE g.tgname = 'usage_events_inserted' AND g.tgrelid = e.oid
      AND p.pronamespace <> quote_ident(current_schema())::regnamespace),
  EXISTS (SELECT 1 FROM pg_index AS i
    WHERE i.indrelid = e.oid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL)
FROM (
  SELECT c.oid, c.relkind::text, n.nspname AS schema FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relname = 'events' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (current_schemas(false))
  ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1
) AS e LEFT JOIN pg_attribute AS a ON a.attrelid = e.oid AND a.attname = 'session_id' AND NOT a.attisdropped
LEFT JOIN pg_type AS t ON t.oid = a.atttypid
"""  # noqa: S608  constant names
_MANY = "SELECT 1 FROM {} LIMIT 1 OFFSET 10000"
_KINDS = {"v": "view", "m": "materialized view", "f": "foreign table"}
_ALL = 5
_BY_HAND = "register sessions with register_session()"


def notices(db: PostgresqlDatabase) -> Iterator[str]:
    """Yield a notice if the host's events table does not register the sessions, or not all of them. Reads only."""
    if db.execute_sql("SELECT to_regclass('usage_sessions_ended')").fetchone()[0] is None:
        return
    row = db.execute_sql(_EVENTS).fetchone()
    if row is None or row[2] is None:
        yield f"no events table with a session_id column: {_BY_HAND}"
        return
    kind, table, column, usable, allowed, role, triggers, other, indexed = row
    if kind in _KINDS:
        yield f"{table} is a {_KINDS[kind]}, which cannot have triggers: {_BY_HAND}"
    elif not usable:
        yield f"session_id of {table} has the type {column}, which cannot be a session id: {_BY_HAND}"
    elif other is not None:
        yield f"{table} registers the sessions of the usage tables in schema {other}: {_BY_HAND}"
    elif triggers != _ALL and not allowed:
        yield f"role {role} has no right SELECT or TRIGGER on {table}, so it does not register sessions: {_BY_HAND}"
    elif triggers != _ALL:
        yield "the events table does not register sessions: call link_events()"
    elif not indexed and db.execute_sql(_MANY.format(table.replace("%", "%%"))).fetchone():
        yield (
            "events has no index on session_id, so deleting events may read all of them: "
            "CREATE INDEX idx_events_session_id ON events(session_id)"
        )
