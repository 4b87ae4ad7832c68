"""Read by one statement what the runner must know at the beginning and at the end of a migration's transaction.

Each migration's statements leave traces in the server that cost nothing to read, no matter how many tables there are:
the locks that the transaction holds until its end, and the counts of rows that it wrote to each catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.postgresql.catalogs.changed_objects import CHANGED, Touched, found_in
from usage_store.engines.postgresql.migrating.guarded_transaction import GUARD, NEVER_COMMITTED
from usage_store.engines.postgresql.migrating.watched.advisory_locks import HELD
from usage_store.engines.postgresql.migrating.watched.own_tables import query_of, states_of
from usage_store.engines.postgresql.migrating.watched.settings_of_a_session import READ, settings_from

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

# The texts of objects depend on rows of these catalogs, which are not found by the number of a relation.
_FAR = (
    *("pg_proc", "pg_enum", "pg_range", "pg_collation", "pg_namespace", "pg_extension", "pg_foreign_server"),
    *("pg_authid", "pg_operator", "pg_opclass", "pg_language", "pg_ts_config", "pg_ts_dict", "pg_cast", "pg_am"),
)
_FAR_CLASSES = ", ".join(f"'pg_catalog.{catalog}'::regclass" for catalog in _FAR)
_WRITTEN = "pg_stat_get_xact_tuples_{}('pg_catalog.{}'::regclass)"
_ALL_WRITTEN = ("inserted", "updated", "deleted")
_FIRST_OF_USERS = 16_384  # the server's own objects have lower numbers


def _sum(catalog: str) -> str:
    return " + ".join(_WRITTEN.format(what, catalog) for what in _ALL_WRITTEN)


# A change of a relation holds a stronger lock on it than any that reads or writes rows, until the transaction ends.
# Whoever changes the members of an extension keeps a lock on both, and whoever writes to a catalog by SQL keeps one on
# the catalog.
_QUERY = f"""
WITH locks AS MATERIALIZED (
  SELECT locktype, classid, objid, objsubid, relation, transactionid, pid = pg_backend_pid() AS own,
    mode NOT IN ('AccessShareLock', 'RowShareLock') AS writes,
    mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') AS changes
  FROM pg_catalog.pg_locks WHERE granted AND (pid = pg_backend_pid() OR locktype = 'transactionid')),
changed AS MATERIALIZED (
  SELECT DISTINCT relation FROM locks
  WHERE locktype = 'relation' AND changes AND relation >= {_FIRST_OF_USERS})
SELECT pg_backend_pid(),
  EXISTS (SELECT FROM locks WHERE locktype = 'advisory' AND objsubid = 1 AND classid = {{high}} AND objid = {{low}}),
  pg_snapshot_xmax(s)::text::bigint, ARRAY(SELECT x::text FROM pg_snapshot_xip(s) AS x),
  pg_current_xact_id_if_assigned()::text::bigint - (SELECT min(age(xmin)) FROM pg_temp.{GUARD}),
  EXISTS (SELECT FROM locks WHERE locktype = 'transactionid' AND NOT own
    AND age(transactionid) <= age(pg_snapshot_xmax(s)::xid)),
  (SELECT count(*) FROM pg_temp.{GUARD}), to_regclass('pg_temp.{NEVER_COMMITTED}') IS NOT NULL,
  ({READ}),
  (SELECT array_agg(state) FROM ({{own}}) AS own (state)),
  ARRAY(SELECT {HELD} FROM locks WHERE locktype = 'advisory'),
  ARRAY(SELECT relation::bigint FROM changed), {{objects}},
  current_setting('track_counts') = 'off' OR EXISTS (SELECT FROM locks WHERE CASE locktype
    WHEN 'object' THEN classid = 'pg_catalog.pg_extension'::regclass OR (changes AND classid IN ({_FAR_CLASSES}))
    WHEN 'relation' THEN writes AND relation < {_FIRST_OF_USERS} END),
  {" + ".join(_sum(catalog) for catalog in _FAR)},
  {_sum("pg_constraint")},
  {_WRITTEN.format("inserted", "pg_type")} - 2 * (
    SELECT count(*) FROM changed JOIN pg_catalog.pg_class AS c ON c.oid = relation
    JOIN pg_catalog.pg_type AS t ON t.oid = c.reltype WHERE age(t.xmin) <= 0),
  {_WRITTEN.format("updated", "pg_type")},
  {_WRITTEN.format("deleted", "pg_type")}
FROM pg_current_snapshot() AS s
"""  # noqa: S608  constants


class State(NamedTuple):
    """The state of a session in a transaction. The counts are those of the session so far."""

    pid: int
    holds_lock: bool  # of the migrations
    newest: int  # no transaction from this number on has begun yet
    running: list[str]
    last: int | None  # the number of this transaction, or of its part that wrote to the table of the guard last
    others_write: bool  # whether another transaction from `newest` on is writing
    guards: int  # the rows of the table that guards the transaction
    is_rehearsal: bool
    settings: dict[str, str]
    own: dict[str, tuple[Any, ...]]
    locks: list[str]  # the advisory ones that the session holds
    relations: list[int]  # that were changed
    objects: str | None  # of these relations, and of others whose texts may name them
    everything: bool  # whether more may have been changed than counts and relations say
    far: int
    constraints: int
    types_made: int  # besides those of the relations
    types_renamed: int
    types_gone: int


def read_state(
    database: peewee.PostgresqlDatabase, own: Collection[str], key: int = 0, *, at_the_end: bool = False
) -> State:
    """Read the state of the open transaction, with the tables of the runner. Reads only.

    `key` is that of the migration lock. The objects of the changed relations are only read with `at_the_end`. The
    values are part of the text: with parameters, the server would plan a prepared query each time.
    """
    high, low = divmod(key % 2**64, 2**32)
    objects = CHANGED.format("SELECT relation::bigint FROM changed") if at_the_end else "NULL"
    sql = _QUERY.format(high=high, low=low, own=query_of(own), objects=objects)
    row = list(database.execute_sql(sql).fetchone())
    row[8], row[9] = settings_from(row[8]), states_of(row[9] or [])
    return State(*row)


def touched(before: State, after: State) -> Touched | None:
    """Return what the transaction may have changed between two states, or None if that is not known."""
    if after.everything or after.far != before.far or after.types_renamed != before.types_renamed:
        return None
    return Touched(
        frozenset(after.relations),
        after.types_made - before.types_made,
        after.types_gone - before.types_gone,
        after.constraints != before.constraints,
        found_in(after.objects),
    )
