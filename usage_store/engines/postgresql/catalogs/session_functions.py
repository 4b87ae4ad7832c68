"""Functions of a session that read catalogs by the numbers of a few relations, no matter how many others there are.

They lie in the temporary schema, which ends with the session. A function keeps the plan of its query, which takes
longer to make than to run, and has settings of its own, so that the plan uses the indexes of the catalogs although it
was made when the catalogs were small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

# plpgsql keeps plans. In a database without it, a function in SQL is planned at each call.
_LANGUAGE = """
SELECT quote_ident(current_schema()), EXISTS (
  SELECT FROM pg_catalog.pg_language WHERE lanname = 'plpgsql' AND has_language_privilege(oid, 'USAGE')),
  to_regprocedure('pg_temp.{}(bigint[])') IS NOT NULL
"""
_CREATE = (
    "CREATE FUNCTION pg_temp.{name}(bigint[]) RETURNS TABLE ({columns}) LANGUAGE {language} STABLE ROWS 10 "
    "SET search_path = {schema}, pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan "
    "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off "
    "AS $usage_store$ {body} $usage_store$"
)


def make_functions(database: peewee.PostgresqlDatabase, functions: Mapping[str, tuple[str, str]]) -> None:
    """Create functions that are missing, given by their names: the columns of the result, and the query with `$1`."""
    schema, has_plans, are_there = database.execute_sql(_LANGUAGE.format(next(iter(functions)))).fetchone()
    if are_there or schema is None:
        return
    for name, (columns, query) in functions.items():
        body = f"#variable_conflict use_column\nBEGIN RETURN QUERY {query}; END" if has_plans else query
        sql = _CREATE.format(
            name=name,
            columns=columns,
            language="plpgsql" if has_plans else "sql",
            schema=schema.replace("%", "%%"),
            body=body,
        )
        database.execute_sql(sql)


def drop_functions(database: peewee.PostgresqlDatabase, names: Mapping[str, object]) -> None:
    """Drop these functions."""
    each = ", ".join(f"pg_temp.{name}(bigint[])" for name in names)
    database.execute_sql(f"DROP FUNCTION IF EXISTS {each}")
