"""See the statements of a connection, no matter whether peewee or a cursor of the driver runs them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

_RUNNING = ("execute", "executemany", "copy", "copy_expert")  # methods whose first argument is SQL, in either driver


@contextmanager
def seeing(
    database: peewee.PostgresqlDatabase,
    before: Callable[[str], object] = lambda _sql: None,
    after: Callable[[str, BaseException | None], object] = lambda _sql, _error: None,
) -> Iterator[None]:
    """Call functions with the SQL of each statement of this connection in the block, before and after it runs.

    `after` also gets the error of a statement that failed, and returns True if the statement is to run again. An error
    of these functions is raised at the statement.
    """
    connection: Any = database.connection()
    was = connection.cursor_factory
    connection.cursor_factory = _told(type(connection.cursor()), before, after)
    try:
        yield
    finally:
        connection.cursor_factory = was


def _told(
    kind: type[Any], before: Callable[[str], object], after: Callable[[str, BaseException | None], object]
) -> type[Any]:
    def telling(name: str) -> Callable[..., Any]:
        def run(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
            sql = query if isinstance(query, str) else _as_text(query, cursor)
            while True:
                before(sql)
                try:
                    result = getattr(kind, name)(cursor, query, *arguments, **options)
                except BaseException as error:
                    if not after(sql, error):
                        raise
                else:
                    after(sql, None)
                    return result

        return run

    methods = {name: telling(name) for name in _RUNNING if hasattr(kind, name)}
    return type(kind.__name__, (kind,), {"sees_statements": True, **methods})


def _as_text(query: Any, cursor: Any) -> str:
    """Return the text of bytes, or of a query that the driver composes."""
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    text: str = query.as_string(cursor)
    return text
