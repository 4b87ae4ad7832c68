"""Read and raise the counters of generated keys: the sequences of identity and serial columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import peewee

_GAP: Final = 7  # any number; the keys between are those of rows that were deleted

# A sequence that gave no value yet has no last value.
_COUNTERS = """
FROM (
  SELECT c.relname::text AS table_name, s.seqrelid, s.seqincrement,
         pg_catalog.pg_sequence_last_value(s.seqrelid::regclass) AS last_value
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = 'pg_class'::regclass
    AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.objid
  WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
) AS counters WHERE last_value IS NOT NULL
"""


def read_counters(database: peewee.PostgresqlDatabase) -> dict[str, int]:
    """Return the last generated key of each table; of several in a table, the sum. Reads only."""
    rows = database.execute_sql(f"SELECT table_name, sum(last_value)::bigint {_COUNTERS} GROUP BY 1")
    return {table: int(value) for table, value in rows.fetchall()}


def raise_counters(database: peewee.PostgresqlDatabase) -> None:
    """Raise each counter of generated keys, as if the rows with the highest keys had been deleted."""
    raised = f"SELECT setval(seqrelid::regclass, last_value + {_GAP} * seqincrement) {_COUNTERS}"
    database.execute_sql(raised).fetchall()
