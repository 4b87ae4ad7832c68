"""Read any number of snapshots, one page at a time. Each page is a separate statement that starts at an index entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.models.postgresql.rows.fetch_rows import fetch
from usage_store.models.postgresql.rows.list_rows import COLUMNS, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.models.fields.time_window import Window

_SPAN = "timestamp >= %s AND timestamp < %s"
_PAGE_ROWS, _PAGE_BYTES = 500, 4 * 2**20  # a page ends with the row that reaches one of the two
# The server adds up the lengths, which it knows without reading the texts, and sends only the rows of the page.
_PAGE = """
SELECT {columns} FROM (SELECT {columns}, sum(octet_length(snapshot_data)) OVER (
    ORDER BY timestamp {way}, id {way} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (SELECT {columns} FROM usage_snapshots WHERE {condition} ORDER BY timestamp {way}, id {way} LIMIT {rows}) AS p
) AS s WHERE before IS NULL OR before < {bytes} ORDER BY timestamp {way}, id {way}
"""

Rows = list[tuple[Any, ...]]


def pages(database: peewee.PostgresqlDatabase, window: Window) -> Iterator[Rows]:
    """Yield the snapshots of a window by timestamp and id, in lists of rows as `recent()` returns them. Reads only.

    No statement is open between two pages. A snapshot that is stored meanwhile may be included or not.
    """
    if not _storable(window.session_id):
        return
    condition, params = _condition(window)
    way, after = ("DESC", "<") if window.newest_first else ("ASC", ">")
    first, rest = (
        _PAGE.format(columns=COLUMNS, way=way, rows=_PAGE_ROWS, bytes=_PAGE_BYTES, condition=f"{condition}{span}")
        for span in (_SPAN, f"{_SPAN} AND (timestamp, id) {after} (%s, %s)")
    )
    since, until = window.since, window.until
    rows = snapshots(database, first, (*params, since, until))
    while rows:
        yield rows
        last_id, _, _, _, second = rows[-1]
        since, until = (since, second + 1) if window.newest_first else (second, until)
        rows = snapshots(database, rest, (*params, since, until, second, last_id))


def count_between(database: peewee.PostgresqlDatabase, window: Window) -> int:
    """Count the snapshots of a window. Reads only."""
    if not _storable(window.session_id):
        return 0
    condition, params = _condition(window)
    sql = f"SELECT count(*) FROM usage_snapshots WHERE {condition}{_SPAN}"  # noqa: S608
    ((number,),) = fetch(database, sql, (*params, window.since, window.until))
    return int(number)


def _storable(session_id: str | None) -> bool:
    """Return False for an id that is not UTF-8, which only SQLite can hold."""
    return session_id is None or session_id.encode(errors="ignore").decode() == session_id


def _condition(window: Window) -> tuple[str, tuple[Any, ...]]:
    condition, params = "", []
    if window.session_id is not None:
        condition, params = "session_id = %s AND ", [window.session_id]
    if window.snapshot_type is not None:
        condition, params = f"{condition}snapshot_type = %s AND ", [*params, window.snapshot_type]
    return condition, tuple(params)
