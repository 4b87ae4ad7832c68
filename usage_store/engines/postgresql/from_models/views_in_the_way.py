"""Find the views that keep the server from dropping a column or from changing its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import peewee

_VIEWS = """
SELECT DISTINCT a.attname, CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || v.relname
FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class
JOIN pg_class AS c ON c.oid = d.refobjid JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND v.relkind IN ('v', 'm')
    AND c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = %s AND a.attname = ANY(%s)
ORDER BY 1, 2
"""


def views_in_the_way(database: peewee.PostgresqlDatabase, table: str, columns: Collection[str]) -> Iterator[str]:
    """Report each view that uses one of the columns. Each line continues the table's name. Reads only."""
    if columns:
        for column, view in database.execute_sql(_VIEWS, (table, list(columns))).fetchall():
            yield f".{column}: {view} uses this column; drop it before, and make it again after"
