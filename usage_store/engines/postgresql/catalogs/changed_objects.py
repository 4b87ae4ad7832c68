"""Read only the objects that a transaction may have changed."""

# ruff: noqa: S608  the parts of the query are written here

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.postgresql.catalogs.object_queries import OBJECTS_OF_RELATIONS
from usage_store.engines.postgresql.catalogs.read_objects import objects_of

if TYPE_CHECKING:
    from usage_store.engines.interface.schema_objects import SchemaObject


class Touched(NamedTuple):
    """What a transaction may have changed of a schema.

    `relations` are the numbers of relations. `types` is how many types were made besides those of relations, and `gone`
    how many types were dropped, those of relations included. `constraints` says whether any constraint was changed.
    `found` has the objects of these relations, and others whose texts may name them, with the relation of each. It is
    None if other objects may have been changed, too.
    """

    relations: frozenset[int]
    types: int
    gone: int
    constraints: bool
    found: list[tuple[int | None, SchemaObject]] | None


_FUNCTION = "usage_store_objects"
_EVERYTHING = "everything"  # a row of this kind says that the query does not reach all that may have changed

# The texts of other objects name a relation and its columns. They are read too if the transaction wrote rows of
# pg_class or pg_attribute for it, because it may have another name then. The texts name no objects further away.
_NEAR = """
WITH told AS (
  SELECT c.oid, c.relkind, c.relnamespace, c.reltype, c.relkind = 'S' OR age(c.xmin) <= 0 OR EXISTS (
    SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND age(a.xmin) <= 0) AS renamed
  FROM pg_class AS c WHERE c.oid = ANY ($1::oid[])),
dependents AS (
  SELECT d.classid, d.objid FROM told JOIN pg_depend AS d
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = told.oid AND d.deptype <> 'i' WHERE told.renamed
  UNION ALL
  SELECT d.classid, d.objid FROM told JOIN pg_type AS t ON t.oid = told.reltype JOIN pg_depend AS d
    ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype <> 'i'
  WHERE told.renamed),
near AS (
  SELECT oid FROM told
  UNION SELECT i.indrelid FROM told JOIN pg_index AS i ON i.indexrelid = told.oid
  UNION SELECT d.refobjid FROM told JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = told.oid
    AND d.refclassid = 'pg_class'::regclass WHERE told.relkind = 'S'
  UNION SELECT CASE d.classid
    WHEN 'pg_class'::regclass THEN d.objid
    WHEN 'pg_rewrite'::regclass THEN (SELECT r.ev_class FROM pg_rewrite AS r WHERE r.oid = d.objid)
    WHEN 'pg_constraint'::regclass THEN (SELECT k.conrelid FROM pg_constraint AS k WHERE k.oid = d.objid)
    WHEN 'pg_attrdef'::regclass THEN (SELECT f.adrelid FROM pg_attrdef AS f WHERE f.oid = d.objid)
    WHEN 'pg_trigger'::regclass THEN (SELECT g.tgrelid FROM pg_trigger AS g WHERE g.oid = d.objid)
    WHEN 'pg_policy'::regclass THEN (SELECT p.polrelid FROM pg_policy AS p WHERE p.oid = d.objid)
  END FROM dependents AS d),
"""
_BEYOND = f"""
UNION ALL
SELECT 0, 0, NULL, '{_EVERYTHING}', '', '', '', '', '' WHERE EXISTS (SELECT FROM told WHERE relkind = 'c')
OR EXISTS (SELECT FROM dependents AS d WHERE d.classid IN ('pg_proc'::regclass, 'pg_type'::regclass))
"""
_QUERY = f"""
SELECT o.place::integer, o.number::bigint, o.relation::bigint, o.kind::text, o.name::text, o.ending::text,
  o.tbl::text, o.beside::text, o.ddl::text
FROM ({_NEAR}{OBJECTS_OF_RELATIONS}{_BEYOND})
  AS o (place, number, relation, kind, name, ending, tbl, beside, ddl) ORDER BY o.place, o.number
"""
_COLUMNS = (
    "place integer, number bigint, relation bigint, kind text, name text, ending text, tbl text, beside text, ddl text"
)
FUNCTIONS = {_FUNCTION: (_COLUMNS, _QUERY)}
# A part of a query: the objects of the relations that a query gives, or NULL for none. Needs the function, and a
# transaction that wrote something before it changed the relations.
CHANGED = f"""
(SELECT json_agg(json_build_array(place, number, relation, kind, name, ending, tbl, beside, ddl))::text
 FROM pg_temp.{_FUNCTION}(ARRAY({{}})))
"""


def found_in(text: str | None) -> list[tuple[int | None, SchemaObject]] | None:
    """Return the objects in what `CHANGED` gives, with their relations, or None if all objects have to be read."""
    rows = json.loads(text or "[]")
    return None if any(row[3] == _EVERYTHING for row in rows) else objects_of(rows)
