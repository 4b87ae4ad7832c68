"""Read any number of snapshots, one page at a time. Each page is a separate statement that starts at an index entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.models.sqlite.rows.list_rows import SNAPSHOTS, with_text
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

    from usage_store.models.fields.time_window import Window

_COUNT = "SELECT count(*) FROM usage_snapshots WHERE"
_SPAN = "timestamp >= ? AND timestamp < ?"
_PAGE_ROWS, _PAGE_CHARACTERS = 500, 4 * 2**20  # a page ends with the row that reaches one of the two

Rows = list[tuple[Any, ...]]


def pages(database: peewee.SqliteDatabase, window: Window) -> Iterator[Rows]:
    """Yield the snapshots of a window by timestamp and id, in lists of rows as `recent()` returns them. Reads only.

    No statement is open between two pages. A snapshot that is stored meanwhile may be included or not.
    """
    condition, params = _condition(window, "+snapshot_type")  # the + keeps SQLite off its index, which needs a sort
    way, after = ("DESC", "<") if window.newest_first else ("ASC", ">")
    span = f"{SNAPSHOTS} WHERE {condition} {_SPAN} ORDER BY timestamp {way}, id {way} LIMIT {_PAGE_ROWS}"
    rest_of_second = (
        f"{SNAPSHOTS} WHERE {condition} timestamp = ? AND id {after} ? ORDER BY id {way} LIMIT {_PAGE_ROWS}"
    )
    since, until = window.since, window.until
    while rows := fetch(database, span, (*params, since, until), one_page):
        while rows:
            yield rows
            last_id, _, _, _, second, *_ = rows[-1]
            rows = fetch(database, rest_of_second, (*params, second, last_id), one_page)
        since, until = (since, second) if window.newest_first else (second + 1, until)


def count_between(database: peewee.SqliteDatabase, window: Window) -> int:
    """Count the snapshots of a window. Reads only."""
    condition, params = _condition(window, "snapshot_type")
    sql = f"{_COUNT} {condition} {_SPAN}"
    ((number,),) = fetch(database, sql, (*params, window.since, window.until))
    return int(number)


def _condition(window: Window, type_column: str) -> tuple[str, tuple[Any, ...]]:
    condition, params = "", []
    if window.session_id is not None:
        condition, params = "session_id = CAST(? AS TEXT) AND", [_bindable(window.session_id)]
    if window.snapshot_type is not None:
        condition, params = f"{condition} {type_column} = ? AND", [*params, window.snapshot_type]
    return condition, tuple(params)


def _bindable(session_id: str) -> str | bytes:
    """Return the id in a form that SQLite accepts: bytes if the id is not UTF-8, because then a str cannot be bound."""
    stored = session_id.encode(errors="surrogateescape")
    return session_id if stored == session_id.encode(errors="ignore") else stored


def one_page(found: Iterable[tuple[Any, ...]]) -> Rows:
    """Read the rows of a statement until they fill a page."""
    rows: Rows = []
    size = 0
    for row in found:
        rows.append(row if type(row[2]) is str else with_text(*row))
        size += len(rows[-1][2])
        if size >= _PAGE_CHARACTERS:
            break
    return rows
